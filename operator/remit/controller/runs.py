"""Reconciles one run: review, the pod once everything that protects it is in place, status, end, clean-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import ValidationError

from remit.api.agent import AgentSpec
from remit.api.agentrun import AgentRunSpec, Desired
from remit.api.reasons import FINAL_RUN_REASONS, RunReason
from remit.controller.apply import Hands
from remit.controller.gather import RunWorld, run_world
from remit.controller.kinds import POD, is_under_way
from remit.controller.protection import Protection
from remit.controller.settings import Settings
from remit.controller.store import Key, Object, Store, key_of
from remit.controller.telemetry import Metrics
from remit.core.admission import Disallowed, Subject, Wait, review
from remit.core.children import run_pod
from remit.core.course import (
    KILLED_AT_ONCE,
    RUN_STATUS_FIELDS,
    Bounds,
    Started,
    facts_of,
    is_child_of,
    reason_of,
    status_of,
)
from remit.core.lifecycle import RunFacts, next_look, step
from remit.core.moments import epoch_seconds
from remit.core.plan import deletion, is_in_place, is_leaving, plan
from remit.core.pods import pod_facts
from remit.ports import Clock

LOOK_AGAIN_SECONDS = 5.0
"""How often to look whether what no event tells of has changed."""
_UNREADABLE: Final = AgentRunSpec(agent="unreadable", purpose="unreadable")


@dataclass(frozen=True, slots=True)
class Start:
    """What came of an attempt to start: one of the three."""

    started: Started | None = None
    waiting_for: str = ""
    failure: str = ""


class Runs:
    """AgentRuns."""

    def __init__(
        self, store: Store, hands: Hands, clock: Clock, *, settings: Settings, metrics: Metrics, protection: Protection
    ) -> None:
        """Act by these hands."""
        self._protection = protection
        self._store = store
        self._hands = hands
        self._clock = clock
        self._metrics = metrics
        self._bounds = Bounds(settings.stop_grace_seconds, settings.outcome_grace_seconds)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one run on; returns when to look again."""
        world = run_world(self._store, key)
        if world is None or is_leaving(world.run):
            return None
        if not is_under_way(world.run):
            return await self._clean_up(world)
        now = self._clock.now()
        spec, objection = _review(world, now)
        facts = facts_of(world.run, spec, world.pod, objection, now=now, bounds=self._bounds)
        reason, message = step(facts)
        start = Start()
        if reason is RunReason.PENDING and objection is None:
            start = await self._start(world, spec)
            facts, reason, message = _after(start, facts)
        run = await self._write(world.run, facts, (reason, message), start.started)
        if reason in FINAL_RUN_REASONS:
            return await self._end(run, reason)
        look = now + LOOK_AGAIN_SECONDS if start.waiting_for else next_look(facts)
        return min(look, facts.deadline)

    async def _write(
        self, run: Object, facts: RunFacts, decided: tuple[RunReason, str], started: Started | None
    ) -> Object:
        reason, message = decided
        stopping = facts.desired is Desired.STOPPED and facts.had_pod
        status = status_of(run, reason, message, now=facts.now, start=started, stopping=stopping)
        return await self._hands.write_status(run, status, RUN_STATUS_FIELDS)

    async def _start(self, world: RunWorld, spec: AgentRunSpec) -> Start:
        """Make the pod, or adopt it after a crash, but only behind all that protects it."""
        run, agent = world.run, world.agent
        assert agent is not None  # noqa: S101 - the review waits for the agent
        gate = await self._protection.gate(agent, world.seen)
        if gate.sandbox is None:
            return Start(waiting_for=gate.waiting_for)
        wanted = run_pod(run, spec, AgentSpec.model_validate(agent["spec"]), gate.sandbox)
        if opened := await self._protection.opening(wanted, gate.protection):
            return Start(waiting_for=opened)
        return await self._place(world, [*gate.protection, wanted], agent["status"]["revision"])

    async def _place(self, world: RunWorld, wanted: Sequence[Object], revision: Object) -> Start:
        """Create the pod, which stands last; only one that is as wanted, and this run's, is taken."""
        name = wanted[-1]["metadata"]["name"]
        in_the_way = Start(waiting_for=f"pod {name} is in the way: it is not this run's, or on its way out")
        if world.pod is not None and (is_leaving(world.pod) or not is_child_of(world.pod, world.run)):
            return in_the_way
        await self._hands.act(plan(wanted, world.seen))
        pod = self._store.get(key_of(POD.kind, wanted[-1]))
        if pod is None or not is_child_of(pod, world.run):
            return in_the_way
        if is_in_place(wanted[-1], pod):
            return Start(started=Started(pod, revision))
        if world.pod is not None:  # one of an earlier life of the controller: it was deleted just now
            return Start(waiting_for=f"pod {name} is made anew: it was not as it should be")
        await self._hands.act([deletion(pod)])
        return Start(
            failure=f"pod {name} was changed on its way in, by an admission webhook: it is no sandbox any more"
        )

    async def _end(self, run: Object, reason: RunReason) -> float | None:
        """Count the end, and see to the pod."""
        self._metrics.finished.labels(str(reason)).inc()
        world = run_world(self._store, key_of("AgentRun", run))
        return await self._clean_up(world) if world is not None else None

    async def _clean_up(self, world: RunWorld) -> float | None:
        """Delete the pod of a finished run: at once where its agent lost its authority, else in its time."""
        run, pod = world.run, world.pod
        status = run.get("status") or {}
        if pod is None or not is_child_of(pod, run) or is_leaving(pod):
            return None
        kept_until: float = epoch_seconds(status["finishedAt"]) + run["spec"].get("ttlSecondsAfterFinished", 300)
        if reason_of(run) not in KILLED_AT_ONCE and self._clock.now() < kept_until:
            return kept_until
        await self._hands.act([deletion(pod)])
        return None


def _after(start: Start, facts: RunFacts) -> tuple[RunFacts, RunReason, str]:
    """Return where the run stands after the attempt to start it."""
    if start.started is not None:
        facts = replace(facts, had_pod=True, pod=pod_facts(start.started.pod))
        return facts, *step(facts)
    if start.failure:
        return facts, RunReason.FAILED, start.failure
    return facts, RunReason.PENDING, start.waiting_for


def _review(world: RunWorld, now: float) -> tuple[AgentRunSpec, Disallowed | Wait | None]:
    """Read the spec and ask whether the run may go on; a spec that cannot be read is not allowed."""
    try:
        spec = AgentRunSpec.model_validate(world.run["spec"])
    except ValidationError as error:
        places = "; ".join(".".join(map(str, fault["loc"])) for fault in error.errors()[:5])
        return _UNREADABLE, Disallowed(f"the spec is not valid: {places}")
    return spec, review(Subject(world.run, world.agent, world.model_grant, now))
