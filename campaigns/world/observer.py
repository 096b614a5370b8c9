"""Sees the cluster straight: every object as it is now, and from which version to which each pod and policy stood."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from remit.adapters.cluster import KubernetesCluster
from remit.core.conditions import find_condition, violations

Object = dict[str, Any]
Seen = Callable[[str, str, Object], None]
"""Told of every event: type, kind, object."""
REMIT = "remit.dev/v1alpha1"
KINDS = {
    "Agent": REMIT,
    "ToolGrant": REMIT,
    "Policy": REMIT,
    "AgentRun": REMIT,
    "Pod": "v1",
    "ServiceAccount": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ControllerRevision": "apps/v1",
    "Lease": "coordination.k8s.io/v1",
}
FOR_EVER = 2**63


@dataclass
class Life:
    """One object, from its making to its end, by resource version: all kinds share one row of versions."""

    thing: Object
    since: int
    until: int = FOR_EVER


@dataclass
class Observer:
    """Watches the kinds for as long as `run` goes on."""

    cluster: KubernetesCluster
    objects: dict[str, dict[tuple[str, str], Object]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    lives: dict[tuple[str, str], dict[str, Life]] = field(default_factory=lambda: defaultdict(dict))
    """By kind and namespace, then by UID."""
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What is wrong with statuses that were seen, by namespace."""
    listeners: list[Seen] = field(default_factory=list)
    synced: set[str] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind, version in KINDS.items():
                group.create_task(self._watch(kind, version))

    async def _watch(self, kind: str, version: str) -> None:
        while True:
            try:
                async for change, thing in self.cluster.watch(version, kind):
                    self._take(change, kind, thing)
            except Exception as error:  # noqa: BLE001 - the apiserver may be away on purpose
                self.faults["observer"].append(f"{kind}: {type(error).__name__}")
            await asyncio.sleep(0.2)

    def _take(self, change: str, kind: str, thing: Object) -> None:
        if change == "SYNCED":
            self.synced.add(kind)
        if change in {"SYNCED", "BOOKMARK"}:
            self._wake()
            return
        metadata = thing["metadata"]
        key, version = (metadata["namespace"], metadata["name"]), int(metadata["resourceVersion"])
        lives = self.lives[kind, key[0]]
        if change == "DELETED":
            self.objects[kind].pop(key, None)
            lives.setdefault(metadata["uid"], Life(thing, version)).until = version
        else:
            self.objects[kind][key] = thing
            life = lives.setdefault(metadata["uid"], Life(thing, version))
            life.thing = thing
        self._judge(kind, thing)
        for listener in self.listeners:
            listener(change, kind, thing)
        self._wake()

    def _judge(self, kind: str, thing: Object) -> None:
        status = thing.get("status") or {}
        if KINDS[kind] == REMIT and "conditions" in status:
            name = f"{kind} {thing['metadata']['name']}"
            self.faults[thing["metadata"]["namespace"]] += [f"{name}: {fault}" for fault in violations(status)]

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return an object as it is now."""
        return self.objects[kind].get((namespace, name))

    def within(self, kind: str, namespace: str) -> list[Object]:
        """Return the kind's objects of a namespace."""
        return [thing for (home, _), thing in self.objects[kind].items() if home == namespace]

    def reason(self, kind: str, namespace: str, name: str) -> str:
        """Return the reason of an object's leading condition, if it is about the spec as it is now."""
        thing = self.get(kind, namespace, name) or {}
        status = thing.get("status") or {}
        if status.get("observedGeneration") != (thing.get("metadata") or {}).get("generation"):
            return ""
        return str((find_condition(status.get("conditions") or (), "Ready") or {}).get("reason", ""))

    async def until(self, look: Callable[[], Any], within_seconds: float) -> bool:
        """Wait until `look()` is true after some change; tell whether it became so in time."""
        try:
            async with asyncio.timeout(within_seconds):
                while not look():
                    changed = self._changed
                    await changed.wait()
        except TimeoutError:
            return bool(look())
        return True

    def forget(self, namespace: str) -> None:
        """Drop what is known of a namespace that is done with."""
        for kind in KINDS:
            self.lives.pop((kind, namespace), None)
        self.faults.pop(namespace, None)


def uncovered(pods: Iterable[Life], policies: Iterable[Life], name: str) -> list[str]:
    """Return the pods that stood at some version while no policy of that name did."""
    stood = sorted((life.since, life.until) for life in policies if life.thing["metadata"]["name"] == name)
    return [
        f"pod {pod.thing['metadata']['name']} stood without NetworkPolicy {name}"
        for pod in pods
        if not _covers(stood, pod.since, pod.until)
    ]


def _covers(stood: list[tuple[int, int]], since: int, until: int) -> bool:
    """Tell whether intervals, sorted, cover another without a gap that a version fits in."""
    at = since
    for begin, end in stood:
        if begin <= at < end:
            at = end
        if at >= until:
            return True
    return at >= until
