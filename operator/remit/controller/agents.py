"""Reconciles one agent: its account and policy, its bundle as a revision, and what it may do just now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from remit.api.agent import Lifecycle
from remit.api.bundle import Bundle, BundledGrant
from remit.api.names import revision_name
from remit.api.reasons import ObjectReason
from remit.controller.apply import FORBIDDEN, MAX_REFUSAL, Hands, is_written
from remit.controller.compiler import Compiler
from remit.controller.gather import AgentWorld, agent_world, namespace_world
from remit.controller.kinds import REVISION
from remit.controller.probe import Probe
from remit.controller.settings import Settings
from remit.controller.store import Key, Object, Store
from remit.core.children import agent_account, agent_policy, agent_revision, standing_deny
from remit.core.conditions import Standing, conditions_of, side_condition
from remit.core.floors import who_refuses_node_access
from remit.core.lifecycles import lifecycle_of
from remit.core.moments import epoch_seconds, timestamp
from remit.core.plan import Action, Reference, is_leaving, missing, plan
from remit.core.pool import ready_count, warm_pod_of
from remit.core.prepare import Refusal
from remit.core.probe import agent_objection, node_finding
from remit.core.revisions import Admitted, Kept, Sorted, admitted, earlier, sort_out
from remit.ports import Clock, ClusterError

COUNT_SECONDS = 30.0
"""How often a status is written for its count of runs alone."""
REFUSED_AGAIN_SECONDS = 5.0
MAX_TOOLS = 512
MAX_REVISIONS = 64
_FIELDS: Final = ("conditions", "observedGeneration", "revision", "revisions", "tools")
_COUNTS: Final = ("activeRuns", "warmPods")
_LIFECYCLE_REASONS: Final = {
    Lifecycle.DRAFT: (ObjectReason.DRAFT, "the agent is a draft: set spec.lifecycle to Active"),
    Lifecycle.SUSPENDED: (ObjectReason.SUSPENDED, "suspended, its runs were ended: set spec.lifecycle to Active"),
    Lifecycle.RETIRED: (ObjectReason.RETIRED, "the agent is retired, for good: its runs were ended"),
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is to be said of the agent."""

    standing: Standing
    reason: ObjectReason
    message: str


class Agents:
    """Agents."""

    def __init__(
        self, store: Store, hands: Hands, clock: Clock, *, settings: Settings, compiler: Compiler, probe: Probe
    ) -> None:
        """Act by these hands."""
        self._probe = probe
        self._store = store
        self._hands = hands
        self._clock = clock
        self._settings = settings
        self._compiler = compiler
        self._counted_at: dict[Key, float] = {}
        self._kept: dict[Key, dict[str, Kept]] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Bring one agent on; returns when to look again."""
        world = agent_world(self._store, key, self._settings.install_namespace)
        if world is None:
            self._compiler.forget(key)
            self._counted_at.pop(key, None)
            self._kept.pop(key, None)
            return None
        if is_leaving(world.agent) or namespace_world(self._store, key.namespace).is_leaving:
            return None
        compiled = self._compiler.compile(world)
        force = _in_force(world, compiled)
        children = self._children(world, force)
        kept = self._sorted(key, world, force)
        refused = await self._act(plan(children, world.seen, [each.revision for each in kept.go]))
        after = agent_world(self._store, key, self._settings.install_namespace) or world
        absent = [f"{child['kind']} {child['metadata']['name']}" for child in missing(children, after.seen)]
        if refused is not None and not absent:
            raise refused
        if refused is not None:
            absent[-1] += f": the cluster does not let all of it in: {refused}"[:MAX_REFUSAL]
        verdict = self._proven(_verdict(world.agent, compiled, force, absent), compiled)
        status = self._status(world, compiled, force, verdict) | _listed(world, force, kept)
        look = await self._write(key, world, {field: value for field, value in status.items() if value is not None})
        again = self._clock.now() + REFUSED_AGAIN_SECONDS if refused is not None else None
        return min((moment for moment in (look, kept.next_look, again) if moment is not None), default=None)

    async def _act(self, actions: Iterable[Action]) -> ClusterError | None:
        """Do the actions; returns why admission refused one, and with it those behind it: it may change its mind."""
        try:
            await self._hands.act(actions)
        except ClusterError as error:
            if error.code != FORBIDDEN:
                raise
            return error
        return None

    def _sorted(self, key: Key, world: AgentWorld, force: Admitted | None) -> Sorted:
        """Say which revisions stay: what is in force, what runs are pinned to, and what was so a moment ago."""
        needed = {name for name in (_name_in_force(world, force), *map(_pinned_name, world.runs)) if name}
        found = sort_out(world.revisions, needed, self._kept.get(key, {}), now=self._clock.now())
        self._kept[key] = {each.revision["metadata"]["uid"]: each for each in found.stay}
        return found

    def _children(self, world: AgentWorld, force: Admitted | None) -> list[Object]:
        """Return what the agent needs around it."""
        agent = world.agent
        children = [
            standing_deny(agent["metadata"]["namespace"]),
            agent_policy(agent, self._settings.install_namespace),
            agent_account(agent),
        ]
        if force is None:
            return children
        return [*children, agent_revision(agent, force.document, force.digest, _number(world, force.digest))]

    def _proven(self, verdict: _Verdict, compiled: tuple[Bundle, str] | Refusal) -> _Verdict:
        """Return the verdict, unless the network lets sandboxes out: then nothing of the agent's may start."""
        if isinstance(compiled, Refusal) or verdict.standing is Standing.STALLED:
            return verdict
        objection = agent_objection(self._probe.proof, who_refuses_node_access(compiled[0]))
        return verdict if objection is None else _Verdict(Standing.STALLED, *objection)

    def _status(
        self, world: AgentWorld, compiled: tuple[Bundle, str] | Refusal, force: Admitted | None, verdict: _Verdict
    ) -> dict[str, Any]:
        agent, now = world.agent, self._clock.now()
        before = agent.get("status") or {}
        generation = agent["metadata"].get("generation", 0)
        status: dict[str, Any] = {
            "observedGeneration": generation,
            "conditions": self._conditions(verdict, generation, timestamp(now), before.get("conditions") or ()),
            "activeRuns": len(world.runs),
            "warmPods": ready_count(warm_pod_of(pod, now) for pod in world.warm_pods),
        }
        if isinstance(compiled, tuple):
            status["tools"] = _tools(compiled[0], now) or None
        status["revision"] = _named(agent, force) if force is not None else before.get("revision")
        return status

    def _conditions(self, verdict: _Verdict, generation: int, now: str, previous: Any) -> list[dict[str, Any]]:
        """Return where the agent stands, and whether its sandboxes reach their node where that is known."""
        common: Any = {"generation": generation, "now": now, "previous": previous}
        leading = conditions_of(verdict.standing, verdict.reason, verdict.message, **common)
        found = node_finding(self._probe.proof)
        return leading if found is None else [*leading, *side_condition("NodeReachable", found, **common)]

    async def _write(self, key: Key, world: AgentWorld, status: dict[str, Any]) -> float | None:
        """Write the status; a count of runs alone is written now and then only, for each write costs."""
        now, before = self._clock.now(), world.agent.get("status") or {}
        looks = [moment for moment in _ends_of_grants(world) if moment > now]
        due = self._counted_at.setdefault(key, now) + COUNT_SECONDS
        counts = {field: before.get(field, 0) for field in _COUNTS}
        if is_written(before, status, _FIELDS) and any(counts[each] != status[each] for each in _COUNTS) and now < due:
            return min([due, *looks])
        written = await self._hands.write_status(world.agent, status, (*_FIELDS, *_COUNTS))
        if written is not world.agent:
            self._counted_at[key] = now
        return min(looks, default=None)


def _in_force(world: AgentWorld, compiled: tuple[Bundle, str] | Refusal) -> Admitted | None:
    """Return the bundle that is in force by now; None where nothing changes: it comes into force while Active only."""
    if isinstance(compiled, Refusal) or lifecycle_of(world.agent) is not Lifecycle.ACTIVE:
        return None
    before = (world.agent.get("status") or {}).get("revision") or {}
    place = Reference(REVISION.kind, world.agent["metadata"]["namespace"], before.get("name", ""))
    return admitted(*compiled, before, world.seen.get(place))


def _named(agent: Object, force: Admitted) -> dict[str, str]:
    return {"name": revision_name(agent["metadata"]["name"], force.digest), "digest": force.digest}


def _name_in_force(world: AgentWorld, force: Admitted | None) -> str:
    return _named(world.agent, force)["name"] if force is not None else _pinned_name(world.agent)


def _pinned_name(thing: Object) -> str:
    """Return the name of the revision that an agent's or a run's status holds."""
    return str(((thing.get("status") or {}).get("revision") or {}).get("name", ""))


def _listed(world: AgentWorld, force: Admitted | None, kept: Sorted) -> dict[str, Any]:
    """Return the earlier revisions for the status."""
    return {"revisions": earlier(kept.stay, _name_in_force(world, force))[:MAX_REVISIONS] or None}


def _verdict(
    agent: Object, compiled: tuple[Bundle, str] | Refusal, force: Admitted | None, absent: list[str]
) -> _Verdict:
    """Say where the agent stands."""
    lifecycle = lifecycle_of(agent)
    if lifecycle is Lifecycle.RETIRED:
        return _Verdict(Standing.STALLED, *_LIFECYCLE_REASONS[lifecycle])
    if isinstance(compiled, Refusal) and compiled.kind == "Agent" and compiled.reason is ObjectReason.INVALID_SPEC:
        return _Verdict(Standing.STALLED, compiled.reason, compiled.message)
    if lifecycle is not Lifecycle.ACTIVE:
        return _Verdict(Standing.STALLED, *_LIFECYCLE_REASONS[lifecycle])
    if isinstance(compiled, Refusal):
        blamed = "" if compiled.kind == "Agent" else f"{compiled.kind} {compiled.name}: "
        waits = compiled.reason is ObjectReason.PROGRESSING
        standing = Standing.RECONCILING if waits else Standing.STALLED
        return _Verdict(standing, compiled.reason, f"{blamed}{compiled.message}")
    if absent:
        return _Verdict(Standing.RECONCILING, ObjectReason.PROGRESSING, f"waiting for {', '.join(absent)}")
    name = _named(agent, force)["name"] if force is not None else ""
    return _Verdict(Standing.READY, ObjectReason.READY, f"revision {name} is in force")


def _number(world: AgentWorld, digest: str) -> int:
    """Return the revision's number: that of the same revision, else the next one."""
    name = revision_name(world.agent["metadata"]["name"], digest)
    numbers = {item["metadata"]["name"]: int(item.get("revision", 0)) for item in world.revisions}
    return numbers.get(name, max(numbers.values(), default=0) + 1)


def _tools(bundle: Bundle, now: float) -> list[dict[str, Any]]:
    """Return what the agent may reach, with the reason where it may not just now."""
    return [
        {"grant": grant.ref.name, "name": name, "reason": str(_reason(grant, now))}
        for grant in bundle.grants
        for name in _names(grant)
    ][:MAX_TOOLS]


def _names(grant: BundledGrant) -> list[str]:
    models = grant.spec.upstream.model.models if grant.spec.upstream.model else []
    return [tool.name for tool in grant.spec.tools] + [model.name for model in models]


def _reason(grant: BundledGrant, now: float) -> ObjectReason:
    if grant.spec.suspended:
        return ObjectReason.SUSPENDED
    if grant.spec.not_after and epoch_seconds(grant.spec.not_after) <= now:
        return ObjectReason.EXPIRED
    return ObjectReason.READY


def _ends_of_grants(world: AgentWorld) -> list[float]:
    return [epoch_seconds(end) for grant in world.grants if (end := grant["spec"].get("notAfter"))]
