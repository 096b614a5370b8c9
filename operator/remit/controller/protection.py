"""What must stand before a sandbox may: its policies, its account, its bundle, the gateway, and nobody's opening.

One gate for every pod that the controller makes or hands over, cold or warm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remit.api.names import GATEWAY_SERVICE, LABEL_SANDBOX
from remit.controller.kinds import NETWORK_POLICY, REVISION
from remit.controller.probe import Probe
from remit.controller.settings import Settings
from remit.controller.store import Object
from remit.core.children import SandboxSettings, agent_account, agent_policy, standing_deny
from remit.core.course import is_child_of
from remit.core.openings import opening
from remit.core.plan import Reference, missing
from remit.ports import Clock, Cluster

GATEWAY_ADDRESS_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Gate:
    """Either what protects the agent's sandboxes, all of it in place, or what is waited for."""

    protection: Sequence[Object] = ()
    sandbox: SandboxSettings | None = None
    waiting_for: str = ""


class Protection:
    """Looks whether a sandbox may stand."""

    def __init__(self, cluster: Cluster, clock: Clock, settings: Settings, probe: Probe) -> None:
        """Read what no watch tells from this cluster; the probe says whether its network shuts anyone in."""
        self._probe = probe
        self._cluster = cluster
        self._clock = clock
        self._settings = settings
        self._gateway = ("", 0.0)

    async def gate(self, agent: Object, revision: Object, seen: Mapping[Reference, Object]) -> Gate:
        """Return what protects the agent's sandboxes under a revision, or what is missing of it."""
        if unproven := self._probe.holds_back():
            return Gate(waiting_for=unproven)
        namespace = agent["metadata"]["namespace"]
        protection = (
            standing_deny(namespace),
            agent_policy(agent, self._settings.install_namespace),
            agent_account(agent),
        )
        awaited = [f"{child['kind']} {child['metadata']['name']}" for child in missing(protection, seen)]
        pinned = seen.get(Reference(REVISION.kind, namespace, revision["name"]))
        if not is_child_of(pinned, agent):
            awaited.append(f"{REVISION.kind} {revision['name']}")
        if not (address := await self._gateway_address()):
            awaited.append(f"Service {self._settings.install_namespace}/{GATEWAY_SERVICE}")
        if awaited:
            return Gate(waiting_for=f"waiting for {', '.join(awaited)}")
        return Gate(protection, SandboxSettings(self._settings.harness_image, address))

    async def opening(self, pod: Object, protection: Sequence[Object]) -> str:
        """Say which NetworkPolicy of someone else, read as it is now, would open the pod; empty for none."""
        policies = await self._cluster.list(
            NETWORK_POLICY.api_version, NETWORK_POLICY.kind, pod["metadata"]["namespace"]
        )
        name = opening(policies, pod["metadata"]["labels"], {child["metadata"]["name"] for child in protection})
        if not name:
            return ""
        way_out = f"exclude them there by {LABEL_SANDBOX} DoesNotExist, or delete it"
        return f"NetworkPolicy {name} opens sandboxes, for policies add up: {way_out}"

    async def _gateway_address(self) -> str:
        """Return the ClusterIP of the gateway's Service, which hardly ever changes."""
        address, read_at = self._gateway
        if address and self._clock.monotonic() < read_at + GATEWAY_ADDRESS_SECONDS:
            return address
        service = await self._cluster.get("v1", "Service", self._settings.install_namespace, GATEWAY_SERVICE)
        address = str(((service or {}).get("spec") or {}).get("clusterIP") or "")
        self._gateway = (address, self._clock.monotonic())
        return address
