"""Proves, before any sandbox starts and now and then, that the network shuts sandboxes in.

What was found is kept in a ConfigMap, so that a controller that starts anew need not begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from remit.api.names import CONTROL_PORT, CONTROL_SERVICE, GATEWAY_SERVICE, PROBE_RECORD
from remit.controller.apply import FORBIDDEN, Hands
from remit.controller.settings import Settings
from remit.controller.store import Key, Object
from remit.core import probe as core
from remit.core.children import SandboxSettings
from remit.core.moments import epoch_seconds
from remit.core.plan import Apply, Create, deletion, is_in_place, is_leaving
from remit.core.pods import pod_facts
from remit.core.probe import Proof
from remit.ports import Clock, Cluster, ClusterError

log = structlog.get_logger()

PROBE: Final = "EnforcementProbe"
KEY: Final = Key(PROBE, "", PROBE_RECORD)
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 30.0
"""How soon to try again what was not proven."""
GOOD_FOR_ROUNDS = 3
"""A proof is good until so many probes could not be made."""
MAX_WHY = 500
RESOLVER = Path("/etc/resolv.conf")


class Probe:
    """The enforcement probe."""

    def __init__(
        self, cluster: Cluster, hands: Hands, clock: Clock, *, settings: Settings, wake: Callable[[], None]
    ) -> None:
        """Act by these hands; `wake` is called when what is known has changed."""
        self._cluster = cluster
        self._hands = hands
        self._clock = clock
        self._settings = settings
        self._wake = wake
        self._name_servers = core.name_servers(RESOLVER.read_text() if RESOLVER.exists() else "")
        self._is_loaded = False
        self._next = 0.0
        self.proof: Proof | None = None

    def holds_back(self) -> str:
        """Say why no sandbox may start; empty when nothing forbids it."""
        if not self._settings.probe_seconds:
            return ""
        return core.holds_back(self.proof, self._clock.now(), GOOD_FOR_ROUNDS * self._settings.probe_seconds)

    async def reconcile(self, key: Key) -> float | None:
        """Bring the probe on; returns when to look again."""
        del key  # there is one
        if not self._settings.probe_seconds:
            return None
        record = await self._load()
        if self._clock.now() < self._next:
            return self._next
        pod = await self._get("v1", "Pod", core.POD_NAME)
        if pod is None:
            await self._start(record)
        elif not is_leaving(pod) and (proof := self._judged(pod)) is not None:
            await self._conclude(proof)
            await self._hands.act([deletion({"apiVersion": "v1", "kind": "Pod", **pod})])
        return max(self._next, self._clock.now() + LOOK_SECONDS)

    def _judged(self, pod: Object) -> Proof | None:
        """Return what the pod proves, or keeps from being proven; None while it is at work."""
        now, words = self._clock.now(), core.last_words(pod)
        if words is not None:
            return core.proof_of(words, now)
        if now <= epoch_seconds(pod["metadata"]["creationTimestamp"]) + core.DEADLINE_SECONDS:
            return None
        return Proof(now, None, None, pod_facts(pod).trouble or "the probe's pod did not end")

    async def _load(self) -> Object:
        """Return the record, made where there is none; what it says is believed by a process that knows nothing yet."""
        record = await self._get("v1", "ConfigMap", PROBE_RECORD)
        if record is None:
            record = await self._keep()
        elif not self._is_loaded:
            self._take(core.from_record(record))
        self._is_loaded = True
        return record

    async def _start(self, record: Object) -> None:
        """Make the probe's pod, behind all that closes a sandbox."""
        for child in core.protection_of_probe(record):
            if not is_in_place(child, await self._get(child["apiVersion"], child["kind"], child["metadata"]["name"])):
                await self._hands.act([Apply(child)])
        gateway = await self._address(GATEWAY_SERVICE)
        if not gateway:
            return
        settings = SandboxSettings(self._settings.harness_image, gateway)
        try:
            await self._hands.act([Create(core.probe_pod(record, settings, await self._targets()))])
        except ClusterError as error:
            if error.code != FORBIDDEN:
                raise
            await self._conclude(Proof(self._clock.now(), None, None, f"the probe's pod is refused: {error}"[:MAX_WHY]))

    async def _targets(self) -> dict[str, list[str]]:
        """Return all that must not be reached, but for what a pod knows by itself."""
        controls = [address for address in [await self._address(CONTROL_SERVICE)] if address]
        return {
            "dns": self._name_servers,
            "pod": [
                f"[{control}]:{CONTROL_PORT}" if ":" in control else f"{control}:{CONTROL_PORT}" for control in controls
            ],
            "internet": list(self._settings.probe_internet),
        }

    async def _conclude(self, proof: Proof) -> None:
        """Take what was found, and keep it."""
        self._take(proof)
        await self._keep(proof)

    def _take(self, proof: Proof | None) -> None:
        """Believe a proof; where the probe could not tell, what was proven before holds until it is too old."""
        if proof is None:
            return
        known, pause = self.proof, self._settings.probe_seconds
        self._next = proof.at + (pause if proof.enforced else min(AGAIN_SECONDS, pause))
        if proof.enforced is not None or known is None:
            self.proof = proof
        if known is None or (known.enforced, known.node_reachable) != (proof.enforced, proof.node_reachable):
            tell = log.info if proof.enforced else log.error
            tell("enforcement probe", enforced=proof.enforced, node_reachable=proof.node_reachable, why=proof.why)
            self._wake()

    async def _keep(self, proof: Proof | None = None) -> Object:
        """Write the record; returns it as stored."""
        record = core.to_record(self._settings.install_namespace, proof)
        await self._hands.act([Apply(record)])
        stored = await self._get("v1", "ConfigMap", PROBE_RECORD)
        if stored is None:
            raise ClusterError(f"ConfigMap {PROBE_RECORD} went away again", "NotFound", 404)
        return stored

    async def _address(self, service: str) -> str:
        """Return the ClusterIP of a Service of ours; empty when it has none."""
        found = await self._get("v1", "Service", service)
        return str(((found or {}).get("spec") or {}).get("clusterIP") or "")

    async def _get(self, api_version: str, kind: str, name: str) -> Object | None:
        return await self._cluster.get(api_version, kind, self._settings.install_namespace, name)
