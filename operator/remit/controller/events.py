"""Tells people what happened, as Events: one for each reason of an object, counted, so that nothing is told in floods.

The status says all of it, too: an Event that cannot be written holds nothing up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import structlog

from remit.api.meta import API_VERSION
from remit.api.names import CONTROLLER_FIELD_MANAGER
from remit.api.reasons import RunReason
from remit.controller.store import Object
from remit.core.conditions import find_condition, is_alarming
from remit.core.lifecycle import POD_IS_STARTING
from remit.core.moments import timestamp
from remit.ports import Clock, Cluster, ClusterError

log = structlog.get_logger()

NOTE_LIMIT = 1024
REMEMBERED: Final = 4096
"""How many Events are counted on without a look at what is stored."""


class Teller:
    """Makes Events of transitions."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        """Write to this cluster."""
        self._cluster = cluster
        self._clock = clock
        self._told: OrderedDict[str, Object] = OrderedDict()

    async def tell(self, before: Object, status: Mapping[str, Any]) -> None:
        """Tell that the leading condition's reason, or what a person should know about it, is new."""
        old = find_condition((before.get("status") or {}).get("conditions") or (), "Ready") or {}
        new = find_condition(status["conditions"], "Ready") or {}
        if (old.get("reason"), old.get("message")) == (new.get("reason"), new.get("message")) or is_idle(new):
            return
        lost = len(status.get("tries") or ()) > len((before.get("status") or {}).get("tries") or ())
        event = event_of(before, new, timestamp(self._clock.now()), alarming=lost or is_alarming(new))
        try:
            await self._count(event)
        except ClusterError as error:
            metadata = before["metadata"]
            log.warning(
                "no event", kind=before["kind"], name=metadata["name"], uid=metadata["uid"], why=str(error)[:500]
            )

    async def _count(self, event: Object) -> None:
        """Make the Event, or count it where it was told before; a process that is new finds out by trying."""
        name = event["metadata"]["name"]
        known = self._told.get(name)
        if known is None:
            stored = await self._cluster.create(event, CONTROLLER_FIELD_MANAGER)
            known = stored if stored.get("message") != event["message"] or is_older(stored, event) else None
        if known is not None:
            event = {**event, "firstTimestamp": known["firstTimestamp"], "count": int(known.get("count", 1)) + 1}
            await self._cluster.apply(event, CONTROLLER_FIELD_MANAGER)
        self._told[name] = {"firstTimestamp": event["firstTimestamp"], "count": event["count"]}
        self._told.move_to_end(name)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)


def is_older(stored: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Tell whether what is stored was told of an earlier moment: an answer may only have been lost."""
    return bool(stored.get("lastTimestamp") != event["lastTimestamp"])


def is_idle(condition: Mapping[str, Any]) -> bool:
    """Tell whether there is nothing to know: a run whose pod starts as it should is told of when it runs."""
    return condition.get("reason") == RunReason.STARTING and condition.get("message") == POD_IS_STARTING


def event_of(thing: Object, condition: Mapping[str, Any], now: str, *, alarming: bool) -> Object:
    """Return the Event of a transition. Its name is that of the object's reason, so that there is one of each."""
    metadata = thing["metadata"]
    mark = sha256(f"{metadata['uid']}|{condition['reason']}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name'][:200]}.{mark}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": thing["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if alarming else "Normal",
        "reason": condition["reason"],
        "message": condition["message"][:NOTE_LIMIT],
        "source": {"component": CONTROLLER_FIELD_MANAGER},
        "reportingComponent": CONTROLLER_FIELD_MANAGER,
        "reportingInstance": CONTROLLER_FIELD_MANAGER,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
