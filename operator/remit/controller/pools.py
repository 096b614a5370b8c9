"""Keeps pods ready for agents' runs: makes them behind all that protects them, and takes them away.

A pool never competes with the runs that it is for: after a claim the refill waits, and few pods start at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice

from pydantic import ValidationError

from remit.api.agent import AgentSpec, Lifecycle
from remit.api.names import warm_name
from remit.controller.apply import Hands
from remit.controller.gather import PoolWorld, pool_world
from remit.controller.kinds import POD
from remit.controller.protection import Gate, Protection
from remit.controller.store import Key, Object, Store, key_of
from remit.core.children import warm_mark, warm_pod
from remit.core.conditions import find_condition
from remit.core.plan import Create, deletion, is_in_place, is_leaving, plan
from remit.core.pool import (
    MOST_STARTING,
    PodState,
    PoolFacts,
    PoolPlan,
    Trail,
    WarmPod,
    claimed,
    decide,
    failed,
    follow,
    warm_pod_of,
)
from remit.ports import Clock

MOST_STARTING_EVERYWHERE = 4 * MOST_STARTING
LOOK_AGAIN_SECONDS = 5.0
"""How often to look whether what no event tells of has changed."""


@dataclass(frozen=True, slots=True)
class Template:
    """What the pods of a pool are made from."""

    agent: Object
    spec: AgentSpec
    gate: Gate
    mark: str


class Pools:
    """The pods that stand ready."""

    def __init__(self, store: Store, hands: Hands, clock: Clock, *, protection: Protection) -> None:
        """Act by these hands."""
        self._store = store
        self._hands = hands
        self._clock = clock
        self._protection = protection
        self._trails: dict[Key, Trail] = {}
        self._starting: dict[Key, int] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Bring one pool on; returns when to look again."""
        world, now = pool_world(self._store, key), self._clock.now()
        pods = tuple(warm_pod_of(pod, now) for pod in world.pods)
        spec = _spec_of(world)
        wanted = _wanted(world, spec)
        if wanted == 0:
            self._forget(key)
            await self._delete(key, decide(PoolFacts(0, "", pods, now)).delete)
            return None
        template = await self._template(world, spec)
        if wanted is None or template is None:
            await self._delete(key, decide(PoolFacts(None, "", pods, now)).delete)
            return now + LOOK_AGAIN_SECONDS
        trail = self._trails[key] = follow(self._trail(key), pods, wanted, now)
        decided = decide(PoolFacts(wanted, template.mark, pods, now, trail, room=self._room(key, pods)))
        await self._delete(key, decided.delete)
        return await self._fill(key, template, decided)

    def note_claim(self, key: Key) -> None:
        """Have the refill wait: a run just started."""
        self._trails[key] = claimed(self._trail(key), self._clock.now())

    async def _template(self, world: PoolWorld, spec: AgentSpec | None) -> Template | None:
        """Return what pods are made from; None while what protects them is not in place."""
        agent = world.agent
        if agent is None or spec is None or not (revision := (agent.get("status") or {}).get("revision")):
            return None
        gate = await self._protection.gate(agent, revision, world.seen)
        if gate.sandbox is None:
            return None
        return Template(agent, spec, gate, warm_mark(agent, revision, spec, gate.sandbox))

    async def _fill(self, key: Key, template: Template, decided: PoolPlan) -> float | None:
        """Make the pods; each stands alone in its plan, behind what protects it as it is seen just then."""
        pods, again = self._new(key, template, decided.make), self._clock.now() + LOOK_AGAIN_SECONDS
        if pods and await self._protection.opening(pods[0], template.gate.protection):
            return again
        for pod in pods:
            actions = plan([*template.gate.protection, pod], pool_world(self._store, key).seen)
            if actions != (Create(pod),):
                return again
            await self._hands.act(actions)
            stored = self._store.get(key_of(POD.kind, pod))
            if stored is not None and not is_in_place(pod, stored):  # an admission webhook changed it on its way in
                self._trails[key] = failed(self._trail(key), self._clock.now())
                await self._hands.act([deletion(stored)])
        return decided.look_at

    def _new(self, key: Key, template: Template, number: int) -> list[Object]:
        """Return the pods to make, in the first places that nobody has."""
        agent, sandbox = template.agent, template.gate.sandbox
        if sandbox is None:
            return []
        pool = f"{agent['metadata']['uid']}/{template.mark}"
        names = (warm_name(key.name, pool, place) for place in count())
        free = (name for name in names if self._store.get(Key(POD.kind, key.namespace, name)) is None)
        return [warm_pod(agent, template.spec, sandbox, mark=template.mark, name=name) for name in islice(free, number)]

    async def _delete(self, key: Key, names: Sequence[str]) -> None:
        """Delete the pods of these names."""
        found = [self._store.get(Key(POD.kind, key.namespace, name)) for name in names]
        await self._hands.act([deletion(pod) for pod in found if pod is not None])

    def _trail(self, key: Key) -> Trail:
        return self._trails.get(key, Trail())

    def _room(self, key: Key, pods: Sequence[WarmPod]) -> int:
        """Return how many more pods may start just now, over all pools."""
        self._starting[key] = sum(pod.state is PodState.STARTING for pod in pods)
        return max(0, MOST_STARTING_EVERYWHERE - sum(self._starting.values()))

    def _forget(self, key: Key) -> None:
        self._trails.pop(key, None)
        self._starting.pop(key, None)


def _spec_of(world: PoolWorld) -> AgentSpec | None:
    """Read the agent's spec; None where there is none, or it is not valid: the agent's status says so."""
    if world.agent is None:
        return None
    try:
        return AgentSpec.model_validate(world.agent["spec"])
    except ValidationError:
        return None


def _wanted(world: PoolWorld, spec: AgentSpec | None) -> int | None:
    """Return how many pods should stand; None while the agent is being looked at."""
    agent = world.agent
    if agent is None or spec is None or is_leaving(agent) or not world.may_stand:
        return 0
    if spec.runtime.harness is None or spec.lifecycle is not Lifecycle.ACTIVE or spec.warm.replicas == 0:
        return 0
    status = agent.get("status") or {}
    ready = find_condition(status.get("conditions") or (), "Ready")
    if ready is None or status.get("observedGeneration") != agent["metadata"].get("generation"):
        return None
    if ready.get("status") == "False":
        return 0
    return spec.warm.replicas if ready.get("status") == "True" else None
