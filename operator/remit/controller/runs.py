"""Reconciles one run: review, the pod once everything that protects it is in place, status, end, clean-up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import ValidationError

from remit.api.agentrun import AgentRunSpec, Desired
from remit.api.reasons import FINAL_RUN_REASONS, RunReason
from remit.controller.apply import FORBIDDEN, MAX_REFUSAL, Hands
from remit.controller.claims import Claims
from remit.controller.gather import RunWorld, run_world
from remit.controller.kinds import AGENT, GRANT, POD, POLICY, RUN, is_under_way
from remit.controller.places import Places
from remit.controller.protection import Protection
from remit.controller.settings import Settings
from remit.controller.store import Key, Object, Store, key_of
from remit.controller.telemetry import Metrics
from remit.core.admission import Disallowed, Subject, Wait, review
from remit.core.course import (
    RUN_STATUS_FIELDS,
    Bounds,
    Started,
    facts_of,
    is_child_of,
    is_killed_at_once,
    recorded_uid,
    status_of,
    status_once_ended,
)
from remit.core.lifecycle import TRANSITIONS, Finding, RunEvent, RunFacts, find, next_look, without_pod
from remit.core.moments import epoch_seconds
from remit.core.plan import deletion, is_in_place, is_leaving, plan
from remit.core.pods import pod_facts
from remit.ports import Clock, ClusterError

LOOK_AGAIN_SECONDS = 5.0
"""How often to look whether what no event tells of has changed."""
IN_LINE_SECONDS = 30.0
"""How often a run that waits for a place looks by itself."""
_UNREADABLE: Final = AgentRunSpec(agent="unreadable", purpose="unreadable")


@dataclass(frozen=True, slots=True)
class Start:
    """What came of an attempt to start: one of the three."""

    started: Started | None = None
    waiting_for: str = ""
    failure: str = ""
    in_line: bool = False
    """Whether it waits for a place: who ends wakes it."""


class Runs:
    """AgentRuns."""

    def __init__(
        self,
        store: Store,
        hands: Hands,
        clock: Clock,
        *,
        settings: Settings,
        metrics: Metrics,
        protection: Protection,
        claims: Claims,
        places: Places,
    ) -> None:
        """Act by these hands."""
        self._protection = protection
        self._claims = claims
        self._places = places
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
            if (status := status_once_ended(world.run, now=self._clock.now())) is not None:
                await self._hands.write_status(world.run, status, RUN_STATUS_FIELDS)
            return await self._clean_up(world)
        if (recorded := recorded_uid(world.run)) and world.pod is None and await self._is_there(world.run, recorded):
            world = run_world(self._store, key) or world
        try:
            return await self._bring_on(world)
        finally:
            self._places.give_back(key)

    async def _is_there(self, run: Object, pod_uid: str) -> bool:
        """Ask for a pod that no watch shows: no run ends, and none is tried again, because of a look at the past."""
        where = run["metadata"]["namespace"], run["status"]["pod"]["name"]
        found = await self._hands.look(POD.kind, POD.api_version, *where)
        return found is not None and found["metadata"]["uid"] == pod_uid

    async def _bring_on(self, world: RunWorld) -> float | None:
        now = self._clock.now()
        spec, objection = self._review(world, now)
        if isinstance(objection, Disallowed) and not recorded_uid(world.run):
            # an end is for good, and the run may have been seen before what allows it: nobody is denied by a watch
            await self._hands.catch_up((AGENT, GRANT, POLICY), world.run["metadata"]["namespace"])
            world = run_world(self._store, key_of(RUN.kind, world.run)) or world
            spec, objection = self._review(world, now)
        facts = facts_of(world.run, spec, world.pod, objection, now=now, bounds=self._bounds)
        finding, start = find(facts), Start()
        if finding.event is RunEvent.READY:
            start = await self._start(world, spec)
            facts, finding = _after(start, facts)
        reason = TRANSITIONS[facts.reason, finding.event]
        run = await self._write(world.run, facts, finding, start.started)
        if reason in FINAL_RUN_REASONS:
            return await self._end(run, reason)
        if finding.failure:
            facts = without_pod(facts, finding.failure)
        pause = IN_LINE_SECONDS if start.in_line else LOOK_AGAIN_SECONDS
        look = now + pause if start.waiting_for else next_look(facts)
        return min(look, facts.deadline)

    def _review(self, world: RunWorld, now: float) -> tuple[AgentRunSpec, Disallowed | Wait | None]:
        """Read the spec and ask whether the run may go on; a spec that cannot be read is not allowed."""
        try:
            spec = AgentRunSpec.model_validate(world.run["spec"])
        except ValidationError as error:
            places = "; ".join(".".join(map(str, fault["loc"])) for fault in error.errors()[:5])
            return _UNREADABLE, Disallowed(f"the spec is not valid: {places}")
        rules = self._places.rules(world.run["metadata"]["namespace"], spec.agent)
        return spec, review(Subject(world.run, world.agent, world.model_grant, now, rules))

    async def _write(self, run: Object, facts: RunFacts, finding: Finding, started: Started | None) -> Object:
        status = status_of(
            run,
            TRANSITIONS[facts.reason, finding.event],
            finding.message,
            now=facts.now,
            start=started,
            lost=finding.failure,
            stopping=facts.desired is Desired.STOPPED and facts.had_pod,
        )
        return await self._hands.write_status(run, status, RUN_STATUS_FIELDS, then=self._kill)

    async def _kill(self, run: Object) -> None:
        """End at once the pods of a run that just lost its authority."""
        if is_under_way(run) or not is_killed_at_once(run):
            return
        if (world := run_world(self._store, key_of(RUN.kind, run))) is not None:
            await self._clean_up(world)

    async def _start(self, world: RunWorld, spec: AgentRunSpec) -> Start:
        """Make the pod, or adopt it after a crash, but only behind all that protects it."""
        agent = world.agent
        assert agent is not None  # noqa: S101 - the review waits for the agent
        if line := self._places.take(world.run):
            return Start(waiting_for=line, in_line=True)
        gate = await self._protection.gate(agent, world.revision, world.seen)
        if gate.sandbox is None:
            return Start(waiting_for=gate.waiting_for)
        wanted = self._claims.wanted(world, spec, gate.sandbox)
        # a pod that is claimed stood there before: nobody is served in it until the status names it
        opened, claimed = await asyncio.gather(
            self._protection.opening(wanted, gate.protection), self._claims.claim(world, spec, gate.sandbox)
        )
        if opened:
            return Start(waiting_for=opened)
        if claimed is not None:
            return Start(started=Started(claimed, world.revision))
        return await self._place(world, [*gate.protection, wanted], world.revision)

    async def _place(self, world: RunWorld, wanted: Sequence[Object], revision: Object) -> Start:
        """Create the pod, which stands last; only one that is as wanted, and this run's, is taken."""
        name = wanted[-1]["metadata"]["name"]
        in_the_way = Start(waiting_for=f"pod {name} is in the way: it is not this run's, or on its way out")
        if world.pod is not None and (is_leaving(world.pod) or not is_child_of(world.pod, world.run)):
            return in_the_way
        try:
            await self._hands.act(plan(wanted, world.seen))
        except ClusterError as error:
            if error.code != FORBIDDEN:
                raise
            return Start(waiting_for=f"the cluster does not let the pod in: {error}"[:MAX_REFUSAL])
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
        """Count the end, and see to the pod that is left to end by itself."""
        self._metrics.finished.labels(str(reason)).inc()
        if is_killed_at_once(run) or (world := run_world(self._store, key_of(RUN.kind, run))) is None:
            return None
        return await self._clean_up(world)

    async def _clean_up(self, world: RunWorld) -> float | None:
        """Delete the pods of a finished run: at once where its agent lost its authority, else in their time."""
        run = world.run
        pods = [pod for pod in (world.pod, *world.left_pods) if pod is not None and is_child_of(pod, run)]
        staying = [pod for pod in pods if not is_leaving(pod)]
        if not staying:
            return None
        ended: float = epoch_seconds(run["status"]["finishedAt"])
        kept_until: float = ended + run["spec"].get("ttlSecondsAfterFinished", 300)
        if not is_killed_at_once(run) and self._clock.now() < kept_until:
            return kept_until
        await self._hands.act(map(deletion, staying))
        return None


def _after(start: Start, facts: RunFacts) -> tuple[RunFacts, Finding]:
    """Return where the run stands after the attempt to start it."""
    if start.started is not None:
        facts = replace(facts, had_pod=True, pod=pod_facts(start.started.pod))
        return facts, find(facts)
    if start.failure:
        return facts, Finding(RunEvent.POD_FAILED, start.failure)
    return facts, Finding(RunEvent.WAITED, start.waiting_for)
