"""Which controller may write: the holder of one Lease, and only for as long as nobody else can hold it.

The holder trusts the earlier end of what its own two clocks say, so that a process that slept, or a machine that
did, wakes up without its tenure. Others trust nobody's clock but their own: a lease is free when they have watched
it unchanged for its whole length.

INVARIANT: what begins within the tenure is done, or given up, before another controller can hold the lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from remit.api.names import CONTROLLER_FIELD_MANAGER, LEASE
from remit.controller.settings import LEASE_SECONDS
from remit.ports import Clock, Cluster, ClusterError, RemitError

API_VERSION = "coordination.k8s.io/v1"
ABSENT = ""

Object = dict[str, Any]
Objects = list[Object]
Done = TypeVar("Done")

log = structlog.get_logger()


class NotLeaderError(RemitError):
    """This controller may not write now."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things take around a lease of so many seconds; all else follows from that."""

    seconds: int = LEASE_SECONDS

    @property
    def begin_within(self) -> float:
        """How long after a renewal a write may still begin."""
        return self.seconds * 2 / 3

    @property
    def end_within(self) -> float:
        """How long after a renewal a write must be done: the rest is for clocks that run at different speeds."""
        return self.seconds * 14 / 15

    @property
    def renew_every(self) -> float:
        """How often the holder renews."""
        return self.seconds * 2 / 15

    @property
    def look_every(self) -> float:
        """How often the others look."""
        return self.seconds / 15

    @property
    def answer_within(self) -> float:
        """How long to wait for the apiserver's answer about the lease."""
        return self.seconds / 3


@dataclass(frozen=True, slots=True)
class _Sight:
    """A state of the lease, and when it was first seen by our own clock."""

    version: str
    since: float


class Tenure:
    """This process's claim to the lease."""

    def __init__(self, cluster: Cluster, clock: Clock, terms: Terms, *, identity: str, namespace: str) -> None:
        """Claim the namespace's lease under this identity: that of one process at a time."""
        self._cluster = cluster
        self._clock = clock
        self._terms = terms
        self._identity = identity
        self._namespace = namespace
        self._renewed: tuple[float, float] | None = None
        """When the last good renewal began, by both clocks."""
        self._ours: Object | None = None
        """The lease as we last wrote it."""
        self._sight: _Sight | None = None
        self.taken = asyncio.Event()
        self.lost = asyncio.Event()
        self.lost.set()

    def age_seconds(self) -> float:
        """Return the seconds since the last renewal began, by the clock that counts more of them."""
        if self._renewed is None:
            return float("inf")
        monotonic, wall = self._renewed
        return max(self._clock.monotonic() - monotonic, self._clock.now() - wall)

    @property
    def is_held(self) -> bool:
        """Whether a write may begin now."""
        return self.age_seconds() < self._terms.begin_within

    def require(self) -> float:
        """Return the seconds within which a write that begins now must be done; raises when none may begin."""
        age = self.age_seconds()
        if age >= self._terms.begin_within:
            self._settle()
            raise NotLeaderError(f"{self._identity} does not hold the lease {self._namespace}/{LEASE}")
        return self._terms.end_within - age

    async def keep(self) -> None:
        """Take the lease when it is free, and renew it while it is ours, until cancelled."""
        while True:
            pause = await self.step()
            await asyncio.sleep(pause)

    async def step(self) -> float:
        """Look once, and take or renew; returns the seconds to the next look."""
        try:
            async with asyncio.timeout(self._terms.answer_within):
                await self._claim()
        except (ClusterError, TimeoutError) as error:
            self._ours = None  # whether it was written, only the apiserver knows
            log.warning("the lease cannot be had now", why=str(error)[:500] or type(error).__name__)
        self._settle()
        return self._terms.renew_every if self.is_held else self._terms.look_every

    async def release(self) -> None:
        """Give the lease up, so that another takes it at once. Only after the last write."""
        ours, self._renewed, self._ours = self._ours, None, None
        self._settle()
        if ours is None:
            return
        try:
            async with asyncio.timeout(self._terms.answer_within):
                await self._write(ours, {"leaseTransitions": ours["spec"].get("leaseTransitions", 0)})
        except (ClusterError, TimeoutError) as error:
            log.warning("the lease was not given up: it ends by itself", why=str(error)[:500])

    async def _claim(self) -> None:
        began = self._clock.monotonic(), self._clock.now()
        seen = self._ours or await self._cluster.get(API_VERSION, "Lease", self._namespace, LEASE)
        if seen is None:
            seen = await self._cluster.create(self._manifest({}, {}), CONTROLLER_FIELD_MANAGER)
        spec: Mapping[str, Any] = seen.get("spec") or {}
        holder = spec.get("holderIdentity") or ABSENT
        if holder not in {ABSENT, self._identity} and not self._is_over(seen, spec):
            self._renewed = None
            return
        moves = int(spec.get("leaseTransitions") or 0) + int(holder != self._identity)
        since = spec.get("acquireTime") if holder == self._identity else None
        wanted = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._terms.seconds,
            "acquireTime": since or micro_time(began[1]),
            "renewTime": micro_time(began[1]),
            "leaseTransitions": moves,
        }
        self._ours = await self._write(seen, wanted)
        self._renewed = began

    def _is_over(self, seen: Object, spec: Mapping[str, Any]) -> bool:
        """Tell whether somebody else's lease stood unchanged, before our eyes, for its whole length."""
        version = str(seen["metadata"]["resourceVersion"])
        if self._sight is None or self._sight.version != version:
            self._sight = _Sight(version, self._clock.monotonic())
        length = max(int(spec.get("leaseDurationSeconds") or 0), self._terms.seconds)
        return self._clock.monotonic() - self._sight.since >= length

    async def _write(self, seen: Object, spec: Object) -> Object:
        """Write the lease, unless somebody has since."""
        version = {"resourceVersion": seen["metadata"]["resourceVersion"]}
        return await self._cluster.apply(self._manifest(version, spec), CONTROLLER_FIELD_MANAGER)

    def _manifest(self, version: Object, spec: Object) -> Object:
        metadata = {"name": LEASE, "namespace": self._namespace, **version}
        return {"apiVersion": API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}

    def _settle(self) -> None:
        """Have the events say what the clocks say."""
        if self.is_held == self.taken.is_set():
            return
        now, before = (self.taken, self.lost) if self.is_held else (self.lost, self.taken)
        before.clear()
        now.set()
        log.info("leads" if self.is_held else "stands by", identity=self._identity)


class Fenced:
    """A cluster that is written to within a tenure only; reading is free."""

    def __init__(self, cluster: Cluster, tenure: Tenure) -> None:
        """Write to `cluster` while `tenure` lasts."""
        self._cluster = cluster
        self._tenure = tenure

    async def get(self, api_version: str, kind: str, namespace: str, name: str) -> Object | None:
        """Return the object, None when there is none."""
        return await self._cluster.get(api_version, kind, namespace, name)

    async def list(self, api_version: str, kind: str, namespace: str, selector: str = "") -> Objects:
        """Return the objects; an empty namespace means all."""
        return await self._cluster.list(api_version, kind, namespace, selector)

    def watch(self, api_version: str, kind: str, selector: str = "") -> AsyncIterator[tuple[str, Object]]:
        """Watch."""
        return self._cluster.watch(api_version, kind, selector)

    async def apply(self, manifest: Mapping[str, Any], manager: str) -> Object:
        """Server-side apply."""
        return await self._within(lambda: self._cluster.apply(manifest, manager))

    async def apply_status(self, manifest: Mapping[str, Any], manager: str) -> Object:
        """Server-side apply of the status subresource."""
        return await self._within(lambda: self._cluster.apply_status(manifest, manager))

    async def create(self, manifest: Mapping[str, Any], manager: str) -> Object:
        """Create."""
        return await self._within(lambda: self._cluster.create(manifest, manager))

    async def patch(self, api_version: str, kind: str, patch: Mapping[str, Any], manager: str) -> Object:
        """Merge a patch."""
        return await self._within(lambda: self._cluster.patch(api_version, kind, patch, manager))

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:  # noqa: PLR0917 - the port's signature
        """Delete exactly the object with this UID."""
        await self._within(lambda: self._cluster.delete(api_version, kind, namespace, name, uid))

    async def _within(self, write: Callable[[], Awaitable[Done]]) -> Done:
        """Do one write: nothing is awaited between the look at the clocks and the request."""
        try:
            async with asyncio.timeout(self._tenure.require()):
                return await write()
        except TimeoutError as error:
            raise NotLeaderError("the tenure ended before the apiserver answered") from error


def micro_time(epoch_seconds: float) -> str:
    """Return the moment as metav1.MicroTime writes it."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
