"""Pods that have no run yet: each waits for its own, and is woken by the one status that names it.

A pod that stands ready asks long before a run claims it. Its question is held, so that the run begins at once; one
that was not answered in time is told to ask again. Nothing is decided here: who is served, `callers` says.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from remit.api.names import LABEL_WARM
from remit.api.reasons import CallReason
from remit.gateway.authority import Authority
from remit.gateway.call import Refused
from remit.gateway.settings import ARRIVAL_SECONDS
from remit.gateway.store import RUN, Kind, Stored, pod_uid_of

NONE_YET: Final = Refused(
    CallReason.RUN_NOT_FOUND, "no run was given to this pod yet; ask again", recorded=False, come_again=True
)


class Arrivals:
    """The pods that wait."""

    def __init__(self, authority: Authority) -> None:
        """Hear of runs from this authority."""
        self._store = authority.store
        self._waiting: dict[str, asyncio.Event] = {}
        self._waiters: Counter[str] = Counter()
        self._is_over = False
        authority.listen(self._on_change)

    async def wait(self, pod_uid: str, patience_seconds: float) -> Refused | None:
        """Wait until a run names the pod; return NONE_YET when none did, and one still may.

        `patience_seconds` is for a pod of which nobody knows that a run may come.
        """
        if self._store.run_of_pod(pod_uid) is not None:
            return None
        may_come = self._may_come(pod_uid)
        await self._wait(pod_uid, ARRIVAL_SECONDS if may_come else patience_seconds)
        if self._store.run_of_pod(pod_uid) is not None:
            return None
        return NONE_YET if may_come or self._may_come(pod_uid) else None

    def close(self) -> None:
        """Answer everybody now: the process is about to end."""
        self._is_over = True
        for event in self._waiting.values():
            event.set()

    async def _wait(self, pod_uid: str, seconds: float) -> None:
        if self._is_over:
            return
        event = self._waiting.setdefault(pod_uid, asyncio.Event())
        self._waiters[pod_uid] += 1
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._waiters[pod_uid] -= 1
            if not self._waiters[pod_uid]:
                del self._waiters[pod_uid]
                self._waiting.pop(pod_uid, None)

    def _may_come(self, pod_uid: str) -> bool:
        """Tell whether the pod stands ready for a run, or was made for one that does not say so yet."""
        pod = self._store.pod(pod_uid)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return False
        meta = pod["metadata"]
        if LABEL_WARM in (meta.get("labels") or {}):
            return True
        return any(self._awaits(meta["namespace"], owner) for owner in meta.get("ownerReferences") or ())

    def _awaits(self, namespace: str, owner: Stored) -> bool:
        run = self._store.get(RUN, namespace, str(owner.get("name", ""))) if owner.get("kind") == RUN.name else None
        if run is None or run["metadata"]["uid"] != owner.get("uid"):
            return False
        return not pod_uid_of(run) and not (run.get("status") or {}).get("finishedAt")

    def _on_change(self, kind: Kind, _: Stored | None, new: Stored | None) -> None:
        if kind is RUN and (event := self._waiting.get(pod_uid_of(new))) is not None:
            event.set()
