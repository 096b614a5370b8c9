"""A controller on a fake cluster: no kopf, no workers, a clock that stands still until it is told otherwise."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.support.fake_cluster import FakeCluster, Object, Place
from tests.support.objects import NAMESPACE, a_gateway_service, a_grant, a_namespace, a_policy, an_agent

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.api.names import DENY_POLICY, agent_child
from remit.controller.kinds import WATCHED
from remit.controller.reconcile import Controller
from remit.controller.settings import Settings
from remit.core.conditions import violations
from remit.core.moments import epoch_seconds, timestamp

SETTINGS = Settings("remit.dev/harness:1")
START = epoch_seconds("2026-11-21T12:00:00Z")
POD: Place = ("Pod", NAMESPACE, "dispute-1-1")
RUN: Place = ("AgentRun", NAMESPACE, "dispute-1")
AGENT: Place = ("Agent", NAMESPACE, "teller")
DENY: Place = ("NetworkPolicy", NAMESPACE, DENY_POLICY)
AGENT_POLICY: Place = ("NetworkPolicy", NAMESPACE, agent_child("teller"))
ACCOUNT: Place = ("ServiceAccount", NAMESPACE, agent_child("teller"))
_KINDS = {watched.kind: watched for watched in WATCHED}


@dataclass
class StillClock:
    """A clock that moves when it is told to."""

    seconds: float = START

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Controlled:
    """A cluster and the controller that looks after it. `restart` is a new process on the same cluster."""

    clock: StillClock = field(default_factory=StillClock)
    settings: Settings = SETTINGS
    cluster: FakeCluster = field(init=False)
    controller: Controller = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(now=lambda: timestamp(self.clock.now()))
        self.cluster.put(a_namespace("remit-system"))
        self.cluster.put(a_namespace())
        self.cluster.put(a_gateway_service())
        self.cluster.listeners.append(self.hear)
        self.restart()

    def restart(self) -> None:
        """Start anew: everything is listed, nothing is remembered."""
        self.controller = Controller(
            self.cluster, self.clock, self.settings, rules=CelEngine(), schemas=JsonSchemaEngine()
        )
        for (kind, _, _), thing in self.cluster.objects.items():
            if kind in _KINDS:
                self.controller.see(kind, dict(thing))
        for (kind, _, _), thing in list(self.cluster.objects.items()):
            if kind in _KINDS:
                self.controller.note(kind, dict(thing))

    def hear(self, change: str, thing: Object) -> None:
        """Hand an event on, as kopf would."""
        if thing["kind"] in _KINDS:
            self.controller.note(thing["kind"], thing, gone=change == "DELETED")

    async def settle(self) -> None:
        """Reconcile until nothing is left to do just now; every status that results must be honest."""
        async with asyncio.timeout(5):
            await self.controller.work.settle()
        for thing in self.cluster.objects.values():
            if thing["apiVersion"].startswith("remit.dev/") and "conditions" in thing.get("status", {}):
                assert violations(thing["status"]) == (), thing["status"]

    async def later(self, seconds: float) -> None:
        """Let time pass, and have what is due looked at."""
        self.clock.seconds += seconds
        self.controller.work.ring()
        await self.settle()

    async def apply(self, *things: Object) -> None:
        """Store objects as a user, and settle."""
        for thing in things:
            self.cluster.put(thing)
        await self.settle()

    async def change(self, place: Place, **spec: Any) -> None:
        """Change an object's spec as a user, and settle."""
        thing = dict(self.cluster.objects[place])
        await self.apply({**thing, "metadata": dict(thing["metadata"]), "spec": {**thing["spec"], **spec}})

    async def delete(self, place: Place) -> None:
        """Delete an object as a user, and settle."""
        self.cluster.remove(place)
        await self.settle()

    async def say(self, place: Place, **status: Any) -> None:
        """Write a part of a status as somebody else, and settle."""
        self.cluster.set_status(place, **status)
        await self.settle()

    def has(self, place: Place) -> bool:
        """Tell whether the object is there."""
        return place in self.cluster.objects

    def status(self, place: Place = RUN) -> Object:
        """Return an object's status."""
        found: Object = self.cluster.objects[place].get("status", {})
        return found

    def condition(self, place: Place, kind: str) -> Object:
        """Return a condition; empty when it is not there."""
        return next((entry for entry in self.status(place).get("conditions", ()) if entry["type"] == kind), {})


async def a_team() -> Controlled:
    """A namespace with a policy, the model's grant and an agent that is ready."""
    controlled = Controlled()
    await controlled.apply(a_policy(), a_grant(), an_agent())
    assert controlled.condition(AGENT, "Ready")["status"] == "True", controlled.status(AGENT)
    return controlled
