"""Knows what is granted now: watches the objects, compiles live bundles, and proves how fresh its knowledge is.

A watch proves that it lives by its events and bookmarks. One that was silent for too long makes the whole view
stale: calls wait, then are refused. What does not compile is a refusal, never the last good state.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from remit.api.evidence import View
from remit.api.reasons import ObjectReason
from remit.core.compile import compile_live, load_bundle
from remit.core.digest import digest_of, sha256_hex
from remit.core.prepare import CompiledBundle, Refusal
from remit.gateway.store import (
    AGENT,
    GRANT,
    NAMESPACE,
    OWN_FIELDS,
    POLICY,
    REVISION,
    RUN,
    WATCHED,
    Key,
    Kind,
    Store,
    Stored,
    key_of,
    version_of,
)
from remit.ports import Clock, Cluster, ClusterError, RemitError, RuleEngine, SchemaEngine

SEEN = (AGENT, RUN, POLICY, GRANT)
"""Kinds whose changes are acknowledged: evidence says how far each was seen."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
MAX_COMPILED = 1024
NEVER = float("-inf")

Compiled = CompiledBundle | Refusal
Listener = Callable[[Kind, Stored | None, Stored | None], None]
"""Told of every change: kind, before, after."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Engines:
    """What compiles rules and schemas."""

    rules: RuleEngine
    schemas: SchemaEngine


@dataclass(frozen=True, slots=True)
class _Live:
    versions: tuple[int, int]
    compiled: Compiled


class Authority:
    """The gateway's view of what is granted now."""

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        engines: Engines,
        *,
        install_namespace: str,
        bound_seconds: float,
        resync_seconds: float,
    ) -> None:
        """Watch this cluster; a view older than the bound is stale, and everything is listed anew now and then."""
        self.store = Store()
        self.engines = engines
        self.install_namespace = install_namespace
        self._cluster = cluster
        self._clock = clock
        self._bound_seconds = bound_seconds
        self._resync_seconds = resync_seconds
        self._heard: dict[Kind, float] = dict.fromkeys(WATCHED, NEVER)
        self._live: dict[Key, _Live] = {}
        self._pinned: dict[str, Compiled] = {}
        self._listeners: list[Listener] = []
        self._changed = asyncio.Event()
        self._versions: dict[Kind, int] = dict.fromkeys(WATCHED, 0)
        self._view: View = {kind.name: 0 for kind in SEEN}

    def listen(self, listener: Listener) -> None:
        """Call `listener` at every change from now on."""
        self._listeners.append(listener)

    async def watch(self) -> None:
        """Watch every kind until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in WATCHED:
                group.create_task(self._watch_for_ever(kind), name=f"watch-{kind.name}")

    def age_seconds(self) -> Mapping[str, float]:
        """Return for each kind the seconds since its watch last proved that it lives."""
        now = self._clock.monotonic()
        return {kind.name: now - heard for kind, heard in self._heard.items()}

    def written(self, kind: Kind, namespace: str, name: str, uid: str) -> dict[str, Any]:
        """Return what the gateway wrote into an object's status, as far as that was seen."""
        if not self.shows(kind, namespace, name, uid):
            return {}
        status = (self.store.get(kind, namespace, name) or {}).get("status") or {}
        return {field: value for field, value in status.items() if field in OWN_FIELDS}

    def shows(self, kind: Kind, namespace: str, name: str, uid: str) -> bool:
        """Tell whether the object of that name, as far as was seen, is the one with this UID."""
        stored = self.store.get(kind, namespace, name)
        return stored is not None and stored["metadata"].get("uid") == uid

    def view(self) -> View:
        """Return how far each kind that gives or takes authority was seen; the same object until that changes."""
        return self._view

    def is_fresh(self) -> bool:
        """Tell whether every watch is younger than the bound."""
        return self._clock.monotonic() - min(self._heard.values()) <= self._bound_seconds

    async def until(self, look: Callable[[], Any], within_seconds: float) -> bool:
        """Wait until `look()` is true after some change; tell whether it became so in time."""
        try:
            async with asyncio.timeout(within_seconds):
                while not look():
                    await self._changed.wait()
        except TimeoutError:
            return bool(look())
        return True

    async def uid_now(self, kind: Kind, namespace: str, name: str) -> str:
        """Ask the apiserver itself which object has the name, empty for none: a list may be older than what it shows.

        Raises ClusterError.
        """
        stored = await self._cluster.get(kind.api_version, kind.name, namespace, name)
        uid: str = stored["metadata"]["uid"] if stored is not None else ""
        return uid

    def live(self, namespace: str, agent: str) -> Compiled:
        """Return the agent's live bundle, compiled from the objects as they are now."""
        versions = self.store.version(namespace), self.store.version(self.install_namespace)
        kept = self._live.get((namespace, agent))
        if kept is None or kept.versions != versions:
            kept = _Live(versions, self._compile(namespace, agent))
            if len(self._live) >= MAX_COMPILED:
                self._live.clear()
            self._live[namespace, agent] = kept
        return kept.compiled

    def pinned(self, namespace: str, revision: Mapping[str, Any]) -> Compiled:
        """Return the bundle that a run is pinned to, from its ControllerRevision, checked against its digest."""
        digest = revision.get("digest", "")
        compiled = self._pinned.get(digest)
        if compiled is not None:
            return compiled
        stored = self.store.get(REVISION, namespace, revision.get("name", ""))
        if stored is None:
            return _no_bundle(revision, "is not there")
        if digest_of(stored.get("data")) != digest:
            return _no_bundle(revision, "does not hold the bundle that its digest names")
        return self._load(digest, stored["data"])

    def learn(self, digest: str, document: bytes) -> bool:
        """Take in a bundle's bytes from elsewhere, if they are those that its digest names; tell whether they are."""
        if f"sha256:{sha256_hex(document)}" != digest:
            return False
        self._load(digest, json.loads(document))
        return True

    def _load(self, digest: str, document: Mapping[str, Any]) -> Compiled:
        compiled = self._guarded(
            lambda: load_bundle(document, rules=self.engines.rules, schemas=self.engines.schemas),
            ("Bundle", digest),
        )
        if len(self._pinned) >= MAX_COMPILED:
            self._pinned.clear()
        self._pinned[digest] = compiled
        return compiled

    def _compile(self, namespace: str, agent: str) -> Compiled:
        stored = self.store.get(AGENT, namespace, agent)
        if stored is None or stored["metadata"].get("deletionTimestamp"):
            return Refusal(ObjectReason.RETIRED, "the agent was deleted", "Agent", agent)
        policies = [*self.store.within(POLICY, namespace)]
        if namespace != self.install_namespace:
            policies += self.store.within(POLICY, self.install_namespace)
        home = self.store.get(NAMESPACE, "", namespace)
        if home is None:  # without its labels nobody knows which of the platform's policies hold in it
            return Refusal(ObjectReason.PROGRESSING, "was not seen yet", "Namespace", namespace)
        return self._guarded(
            lambda: compile_live(
                stored,
                self.store.within(GRANT, namespace),
                policies,
                namespace_labels=home["metadata"].get("labels") or {},
                install_namespace=self.install_namespace,
                rules=self.engines.rules,
                schemas=self.engines.schemas,
            ),
            ("Agent", agent),
        )

    @staticmethod
    def _guarded(compiling: Callable[[], Compiled], blamed: tuple[str, str]) -> Compiled:
        try:
            return compiling()
        except Exception as error:  # noqa: BLE001 - one tenant's objects refuse its own calls, never end everyone's process
            log.error("bundle does not compile", kind=blamed[0], name=blamed[1], error=type(error).__name__)  # noqa: TRY400 - an exception's text may hold contents
            return Refusal(ObjectReason.INVALID_SPEC, "cannot be compiled; the gateway's log says where", *blamed)

    async def _watch_for_ever(self, kind: Kind) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = self._clock.monotonic()
            try:
                await self._watch_once(kind)
            except (RemitError, OSError, TimeoutError) as error:
                log.warning(
                    "watch ended", kind=kind.name, error=type(error).__name__, reason=getattr(error, "reason", "")
                )
            lasted = self._clock.monotonic() - began
            pause = FIRST_PAUSE_SECONDS if lasted > LONGEST_PAUSE_SECONDS else min(pause * 2, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _watch_once(self, kind: Kind) -> None:
        """Take in the list of one kind, then every change until the next resync: what no event told, the list tells."""
        until = float("inf")
        listed: list[Stored] | None = []
        async for event, stored in self._cluster.watch(kind.api_version, kind.name, kind.selector):
            if listed is not None and event != "SYNCED":
                listed.append(stored)
                continue
            if event == "SYNCED" and listed is not None:
                self._require_no_older(kind, version_of(stored))
                self._see(kind, version_of(stored))
                self._put_all(kind, listed)
                listed = None
                until = self._clock.monotonic() + self._resync_seconds
                self._hear(kind)
                continue
            self._see(kind, version_of(stored))
            if event in {"ADDED", "MODIFIED"}:
                self._put(kind, stored)
            elif event == "DELETED":
                self._drop(kind, key_of(stored))
            self._hear(kind)
            if self._clock.monotonic() >= until:
                return

    def _require_no_older(self, kind: Kind, version: int) -> None:
        """Raise ClusterError for a list from before what was seen: what was taken back would come back by it."""
        if 0 < version < self._versions[kind]:
            raise ClusterError(f"the apiserver went back from {self._versions[kind]} to {version}", "WentBack")

    def _see(self, kind: Kind, version: int) -> None:
        """Note how far the kind was seen."""
        if version > self._versions[kind]:
            self._versions[kind] = version
            self._view = {each.name: self._versions[each] for each in SEEN}

    def _put_all(self, kind: Kind, listed: list[Stored]) -> None:
        """Take in a whole list: it comes in one piece, so that nobody sees half of it."""
        self._drop_all_but(kind, {key_of(stored) for stored in listed})
        for stored in listed:
            self._put(kind, stored)

    def _put(self, kind: Kind, stored: Stored) -> None:
        known = self.store.get(kind, *key_of(stored))
        if known is not None and 0 < version_of(known) == version_of(stored) and _uid(known) == _uid(stored):
            return  # listed again as it was
        old = self.store.put(kind, stored)
        if old is not None and old["metadata"].get("uid") != stored["metadata"].get("uid"):
            self._tell(kind, old, None)  # nobody told that it was deleted before another took its name
            old = None
        self._tell(kind, old, stored)

    def _drop_all_but(self, kind: Kind, listed: set[Key]) -> None:
        for key in self.store.keys(kind):
            if key not in listed:
                self._drop(kind, key)

    def _drop(self, kind: Kind, key: Key) -> None:
        old = self.store.drop(kind, key)
        if old is not None:
            self._tell(kind, old, None)

    def _tell(self, kind: Kind, old: Stored | None, new: Stored | None) -> None:
        for listener in self._listeners:
            listener(kind, old, new)
        self._wake()

    def _hear(self, kind: Kind) -> None:
        was_fresh = self.is_fresh()
        self._heard[kind] = self._clock.monotonic()
        if not was_fresh:
            self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _no_bundle(revision: Mapping[str, Any], fault: str) -> Refusal:
    name = revision.get("name") or "(none)"
    return Refusal(ObjectReason.INVALID_SPEC, f"ControllerRevision {name} {fault}", "ControllerRevision", name)


def _uid(stored: Stored) -> object:
    return stored["metadata"].get("uid")
