"""Does what was decided: every write of the controller goes through here, with a crash point before and after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from remit.adapters.crash import crash_point
from remit.api.meta import API_VERSION
from remit.api.names import CONTROLLER_FIELD_MANAGER, LABEL_MANAGED_BY, MANAGED_BY
from remit.controller.events import Teller
from remit.controller.store import Key, Object, Store, Watched
from remit.controller.telemetry import Metrics
from remit.core.conditions import same_conditions
from remit.core.plan import Action, Apply, Create, Delete
from remit.ports import Clock, Cluster, ClusterError, RemitError

Then = Callable[[Object], Awaitable[None]]
"""What is done with an object once its status is written."""
GONE = frozenset({404, 409})
"""The object is gone, or was changed since: its own events tell."""
FORBIDDEN = 403
"""Admission's word: a quota, a RuntimeClass that is not there, Pod Security. It may change its mind."""
MAX_REFUSAL = 600
"""Length of what a status says of such a refusal."""


class OutdatedError(RemitError):
    """What was decided is about a state that is no more."""


class Hands:
    """Writes to the cluster, and keeps the answers so that nothing acts on what it has itself outdated."""

    def __init__(self, cluster: Cluster, store: Store, clock: Clock, metrics: Metrics) -> None:
        """Write to this cluster."""
        self._cluster = cluster
        self._store = store
        self._metrics = metrics
        self._teller = Teller(cluster, clock)

    async def act(self, actions: Iterable[Action]) -> None:
        """Do the actions in their order; the first that fails ends it."""
        for action in actions:
            match action:
                case Apply(manifest):
                    await self._apply(manifest)
                case Create(manifest):
                    await self._create(manifest)
                case Delete():
                    await self._delete(action)

    async def look(self, kind: str, api_version: str, namespace: str, name: str) -> Object | None:
        """Ask the apiserver itself for an object: a watch that was away may show the past."""
        found = await self._cluster.get(api_version, kind, namespace, name)
        if found is not None:
            self._store.put(kind, found)
        return found

    async def catch_up(self, kinds: Iterable[Watched], namespace: str) -> None:
        """List the namespace's objects of these kinds: what each watch tells, it tells in its own time."""
        for kind in kinds:
            for thing in await self._cluster.list(kind.api_version, kind.kind, namespace):
                self._store.put(kind.kind, thing)

    async def patch(self, kind: str, api_version: str, patch: Mapping[str, Any]) -> Object:
        """Merge a patch into the object in the state that it names; returns it as stored."""
        self._pass("before-patch", kind)
        stored = await self._cluster.patch(api_version, kind, patch, CONTROLLER_FIELD_MANAGER)
        self._pass("after-patch", kind)
        self._metrics.writes.labels("patch", kind).inc()
        self._store.put(kind, stored)
        return stored

    async def write_status(
        self, thing: Object, status: Mapping[str, Any], owned: Iterable[str], *, then: Then | None = None
    ) -> Object:
        """Write our part of the status, unless it stands there already; returns the object as it is then.

        What is to be done `then` is done before the Event: telling people holds nothing up.
        """
        if is_written(thing.get("status") or {}, status, owned):
            return thing
        key = Key(thing["kind"], thing["metadata"]["namespace"], thing["metadata"]["name"])
        manifest = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                # what was decided is for this state of this object: not for one of the same name made since
                "resourceVersion": thing["metadata"]["resourceVersion"],
            },
            "status": dict(status),
        }
        self._pass("before-status", key.kind)
        try:
            stored = await self._cluster.apply_status(manifest, CONTROLLER_FIELD_MANAGER)
        except ClusterError as error:
            if error.code in GONE:
                raise OutdatedError(f"{key.kind} {key.namespace}/{key.name} has changed since") from error
            raise
        self._pass("after-status", key.kind)
        self._metrics.writes.labels("status", key.kind).inc()
        self._store.put(key.kind, stored)
        if then is not None:
            await then(stored)
        await self._teller.tell(thing, status)
        return stored

    async def _apply(self, manifest: Mapping[str, Any]) -> None:
        kind = manifest["kind"]
        self._pass("before-apply", kind)
        stored = await self._cluster.apply(manifest, CONTROLLER_FIELD_MANAGER)
        self._pass("after-apply", kind)
        self._metrics.writes.labels("apply", kind).inc()
        self._store.put(kind, stored)

    async def _create(self, manifest: Mapping[str, Any]) -> None:
        kind = manifest["kind"]
        self._pass("before-create", kind)
        stored = await self._cluster.create(manifest, CONTROLLER_FIELD_MANAGER)
        self._pass("after-create", kind)
        self._metrics.writes.labels("create", kind).inc()
        if (stored["metadata"].get("labels") or {}).get(LABEL_MANAGED_BY) == MANAGED_BY:
            self._store.put(kind, stored)  # what is not ours is in no watch: it would be kept for ever

    async def _delete(self, action: Delete) -> None:
        which = action.reference
        self._pass("before-delete", which.kind)
        await self._cluster.delete(action.api_version, which.kind, which.namespace, which.name, action.uid)
        self._pass("after-delete", which.kind)
        self._metrics.writes.labels("delete", which.kind).inc()

    def _pass(self, place: str, kind: str) -> None:
        """Pass a crash point: its name is place and kind, for example before-create-pod."""
        crash_point(f"{place}-{kind.lower()}")


def is_written(seen: Mapping[str, Any], wanted: Mapping[str, Any], owned: Iterable[str]) -> bool:
    """Tell whether our fields of a status stand as wanted; an absent one is wanted absent."""
    if not same_conditions(seen.get("conditions") or (), wanted["conditions"]):
        return False
    return all(seen.get(field) == wanted.get(field) for field in owned if field != "conditions")
