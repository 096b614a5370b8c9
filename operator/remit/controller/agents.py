"""Reconciles one agent: its account and policy, its bundle as a revision, and what it may do just now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from remit.api.agent import Lifecycle
from remit.api.bundle import Bundle, BundledGrant
from remit.api.names import revision_name
from remit.api.reasons import ObjectReason
from remit.controller.apply import Hands, is_written
from remit.controller.compiler import Compiler
from remit.controller.gather import AgentWorld, agent_world, namespace_world
from remit.controller.settings import Settings
from remit.controller.store import Key, Object, Store
from remit.core.children import agent_account, agent_policy, agent_revision, standing_deny
from remit.core.conditions import Standing, conditions_of
from remit.core.moments import epoch_seconds, timestamp
from remit.core.plan import is_leaving, missing, plan
from remit.core.prepare import Refusal
from remit.ports import Clock

KEPT_REVISIONS = 3
"""Revisions beside those that runs are pinned to: a run may be about to start under the last one."""
COUNT_SECONDS = 30.0
"""How often a status is written for its count of runs alone."""
MAX_TOOLS = 512
_FIELDS: Final = ("conditions", "observedGeneration", "revision", "tools")
_LIFECYCLE_REASONS: Final = {
    Lifecycle.DRAFT: (ObjectReason.DRAFT, "the agent is a draft: set spec.lifecycle to Active"),
    Lifecycle.SUSPENDED: (ObjectReason.SUSPENDED, "the agent is suspended: its runs were ended"),
    Lifecycle.RETIRED: (ObjectReason.RETIRED, "the agent is retired: its runs were ended"),
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is to be said of the agent."""

    standing: Standing
    reason: ObjectReason
    message: str


class Agents:
    """Agents."""

    def __init__(self, store: Store, hands: Hands, clock: Clock, *, settings: Settings, compiler: Compiler) -> None:
        """Act by these hands."""
        self._store = store
        self._hands = hands
        self._clock = clock
        self._settings = settings
        self._compiler = compiler
        self._counted_at: dict[Key, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Bring one agent on; returns when to look again."""
        world = agent_world(self._store, key, self._settings.install_namespace)
        if world is None:
            self._compiler.forget(key)
            self._counted_at.pop(key, None)
            return None
        if is_leaving(world.agent) or namespace_world(self._store, key.namespace).is_leaving:
            return None
        compiled = self._compiler.compile(world)
        children = self._children(world, compiled)
        await self._hands.act(plan(children, world.seen, _surplus(world, children)))
        after = agent_world(self._store, key, self._settings.install_namespace) or world
        absent = [f"{child['kind']} {child['metadata']['name']}" for child in missing(children, after.seen)]
        verdict = _verdict(world.agent, compiled, absent)
        status = self._status(world, compiled, verdict)
        return await self._write(key, world, status)

    def _children(self, world: AgentWorld, compiled: tuple[Bundle, str] | Refusal) -> list[Object]:
        """Return what the agent needs around it; a bundle comes into force only while it is Active."""
        agent = world.agent
        children = [
            standing_deny(agent["metadata"]["namespace"]),
            agent_policy(agent, self._settings.install_namespace),
            agent_account(agent),
        ]
        if isinstance(compiled, Refusal) or not _is_active(agent):
            return children
        bundle, digest = compiled
        return [*children, agent_revision(agent, bundle.document(), digest, _number(world, digest))]

    def _status(self, world: AgentWorld, compiled: tuple[Bundle, str] | Refusal, verdict: _Verdict) -> dict[str, Any]:
        agent, now = world.agent, self._clock.now()
        before = agent.get("status") or {}
        generation = agent["metadata"].get("generation", 0)
        status: dict[str, Any] = {
            "observedGeneration": generation,
            "conditions": conditions_of(
                verdict.standing,
                verdict.reason,
                verdict.message,
                generation=generation,
                now=timestamp(now),
                previous=before.get("conditions") or (),
            ),
            "activeRuns": len(world.runs),
        }
        if isinstance(compiled, tuple):
            bundle, digest = compiled
            status["tools"] = _tools(bundle, now)
            if _is_active(agent):
                status["revision"] = {"name": revision_name(agent["metadata"]["name"], digest), "digest": digest}
        if "revision" not in status and "revision" in before:
            status["revision"] = before["revision"]
        return {field: value for field, value in status.items() if value != [] or field == "conditions"}

    async def _write(self, key: Key, world: AgentWorld, status: dict[str, Any]) -> float | None:
        """Write the status; a count of runs alone is written now and then only, for each write costs."""
        now, before = self._clock.now(), world.agent.get("status") or {}
        looks = [moment for moment in _ends_of_grants(world) if moment > now]
        due = self._counted_at.setdefault(key, now) + COUNT_SECONDS
        if is_written(before, status, _FIELDS) and before.get("activeRuns", 0) != status["activeRuns"] and now < due:
            return min([due, *looks])
        written = await self._hands.write_status(world.agent, status, (*_FIELDS, "activeRuns"))
        if written is not world.agent:
            self._counted_at[key] = now
        return min(looks, default=None)


def _is_active(agent: Mapping[str, Any]) -> bool:
    return bool(agent["spec"].get("lifecycle") == Lifecycle.ACTIVE)


def _verdict(agent: Mapping[str, Any], compiled: tuple[Bundle, str] | Refusal, absent: list[str]) -> _Verdict:
    """Say where the agent stands."""
    if isinstance(compiled, Refusal) and compiled.kind == "Agent" and compiled.reason is ObjectReason.INVALID_SPEC:
        return _Verdict(Standing.STALLED, compiled.reason, compiled.message)
    lifecycle = Lifecycle(agent["spec"]["lifecycle"])
    if lifecycle is not Lifecycle.ACTIVE:
        return _Verdict(Standing.STALLED, *_LIFECYCLE_REASONS[lifecycle])
    if isinstance(compiled, Refusal):
        blamed = "" if compiled.kind == "Agent" else f"{compiled.kind} {compiled.name}: "
        return _Verdict(Standing.STALLED, compiled.reason, f"{blamed}{compiled.message}")
    if absent:
        return _Verdict(Standing.RECONCILING, ObjectReason.PROGRESSING, f"waiting for {', '.join(absent)}")
    name = revision_name(agent["metadata"]["name"], compiled[1])
    return _Verdict(Standing.READY, ObjectReason.READY, f"revision {name} is in force")


def _number(world: AgentWorld, digest: str) -> int:
    """Return the revision's number: that of the same revision, else the next one."""
    name = revision_name(world.agent["metadata"]["name"], digest)
    numbers = {item["metadata"]["name"]: int(item.get("revision", 0)) for item in world.revisions}
    return numbers.get(name, max(numbers.values(), default=0) + 1)


def _surplus(world: AgentWorld, children: list[Object]) -> list[Object]:
    """Return the revisions that nobody needs any more."""
    needed = {child["metadata"]["name"] for child in children}
    needed |= {((thing.get("status") or {}).get("revision") or {}).get("name") for thing in (world.agent, *world.runs)}
    newest_first = sorted(world.revisions, key=lambda item: -int(item.get("revision", 0)))
    return [item for item in newest_first[KEPT_REVISIONS:] if item["metadata"]["name"] not in needed]


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
