"""What becomes of a run: one table of transitions, and the findings that say which event the facts amount to.

Pure. INVARIANT: the table is total over (reason, event), a final reason is never left, every reason is reachable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from remit.api.agentrun import Desired
from remit.api.reasons import FINAL_RUN_REASONS, RunReason

STOP_GRACE_SECONDS = 30.0
"""How long an agent that was asked to stop has for its hand-over."""
OUTCOME_GRACE_SECONDS = 15.0
"""How long the gateway has, after the pod ended, to say how the run ended: it may be starting again just then."""


class RunEvent(StrEnum):
    """What happened to a run, as far as its reason is concerned."""

    WAITED = "Waited"
    POD_MADE = "PodMade"
    POD_RAN = "PodRan"
    DISALLOWED = "Disallowed"
    CANCELLED = "Cancelled"
    DEADLINE_PASSED = "DeadlinePassed"
    POD_FAILED = "PodFailed"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    VIOLATED = "Violated"
    EXHAUSTED = "Exhausted"
    REVOKED = "Revoked"
    OUTCOME_LOST = "OutcomeLost"


_ENDS: Mapping[RunEvent, RunReason] = {
    RunEvent.CANCELLED: RunReason.CANCELLED,
    RunEvent.DEADLINE_PASSED: RunReason.DEADLINE_EXCEEDED,
    RunEvent.POD_FAILED: RunReason.FAILED,
    RunEvent.SUCCEEDED: RunReason.SUCCEEDED,
    RunEvent.FAILED: RunReason.FAILED,
    RunEvent.VIOLATED: RunReason.POLICY_VIOLATION,
    RunEvent.EXHAUSTED: RunReason.BUDGET_EXHAUSTED,
    RunEvent.REVOKED: RunReason.REVOKED,
    RunEvent.OUTCOME_LOST: RunReason.OUTCOME_UNKNOWN,
}
_UNDER_WAY: Mapping[RunReason, Mapping[RunEvent, RunReason]] = {
    RunReason.PENDING: {
        RunEvent.WAITED: RunReason.PENDING,
        RunEvent.POD_MADE: RunReason.STARTING,
        RunEvent.POD_RAN: RunReason.RUNNING,
        RunEvent.DISALLOWED: RunReason.DENIED,  # refused before its first call
    },
    RunReason.STARTING: {
        RunEvent.WAITED: RunReason.STARTING,
        RunEvent.POD_MADE: RunReason.STARTING,
        RunEvent.POD_RAN: RunReason.RUNNING,
        RunEvent.DISALLOWED: RunReason.REVOKED,  # taken back under way
    },
    RunReason.RUNNING: {
        RunEvent.WAITED: RunReason.RUNNING,
        RunEvent.POD_MADE: RunReason.RUNNING,
        RunEvent.POD_RAN: RunReason.RUNNING,
        RunEvent.DISALLOWED: RunReason.REVOKED,
    },
}
TRANSITIONS: Mapping[tuple[RunReason, RunEvent], RunReason] = MappingProxyType(
    {(reason, event): {**_ENDS, **row}[event] for reason, row in _UNDER_WAY.items() for event in RunEvent}
    | {(reason, event): reason for reason in FINAL_RUN_REASONS for event in RunEvent}
)

_OUTCOME_EVENTS: Mapping[RunReason, RunEvent] = {
    RunReason.SUCCEEDED: RunEvent.SUCCEEDED,
    RunReason.FAILED: RunEvent.FAILED,
    RunReason.POLICY_VIOLATION: RunEvent.VIOLATED,
    RunReason.BUDGET_EXHAUSTED: RunEvent.EXHAUSTED,
    RunReason.OUTCOME_UNKNOWN: RunEvent.OUTCOME_LOST,
    RunReason.REVOKED: RunEvent.REVOKED,
    RunReason.CANCELLED: RunEvent.CANCELLED,
    RunReason.DEADLINE_EXCEEDED: RunEvent.DEADLINE_PASSED,
    RunReason.DENIED: RunEvent.DISALLOWED,
}


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What the run's pod looks like from outside."""

    phase: str
    trouble: str = ""
    """Why it does not start, as far as anyone can say; empty when nothing is wrong."""
    failure: str = ""
    """Why it ended, once it did."""
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Everything that the course of a run depends on, gathered beforehand."""

    reason: RunReason
    now: float
    deadline: float
    desired: Desired = Desired.RUNNING
    stop_seen_at: float | None = None
    """When Stopped was first noticed: the grace for the hand-over counts from here."""
    disallowed: str = ""
    waiting_for: str = ""
    had_pod: bool = False
    """Whether the status names a pod."""
    pod: PodFacts | None = None
    outcome: RunReason | None = None
    """The gateway's word on how the run ended, from the ledger."""
    outcome_message: str = ""
    stop_grace: float = STOP_GRACE_SECONDS
    outcome_grace: float = OUTCOME_GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class Finding:
    """An event and what a person should know about it."""

    event: RunEvent
    message: str


def outcome_is_known(facts: RunFacts) -> Finding | None:
    """The ledger's word is final."""
    if facts.outcome is None:
        return None
    return Finding(_OUTCOME_EVENTS.get(facts.outcome, RunEvent.FAILED), facts.outcome_message)


def termination_is_wanted(facts: RunFacts) -> Finding | None:
    """Terminated does not wait for a hand-over."""
    if facts.desired is not Desired.TERMINATED:
        return None
    return Finding(RunEvent.CANCELLED, "terminated on request")


def authority_is_missing(facts: RunFacts) -> Finding | None:
    """Refused, or taken back."""
    return Finding(RunEvent.DISALLOWED, facts.disallowed) if facts.disallowed else None


def deadline_has_passed(facts: RunFacts) -> Finding | None:
    """The time from creation to the end is over."""
    if facts.now < facts.deadline:
        return None
    so_far = f"; it was waiting: {facts.waiting_for}" if facts.waiting_for and facts.pod is None else ""
    return Finding(RunEvent.DEADLINE_PASSED, f"the deadline passed{so_far}")


def stop_is_due(facts: RunFacts) -> Finding | None:
    """Stopped waits for the hand-over, within bounds, where there is anyone to hand over."""
    if facts.desired is not Desired.STOPPED:
        return None
    if facts.pod is None and not facts.had_pod:
        return Finding(RunEvent.CANCELLED, "stopped on request before it started")
    if facts.stop_seen_at is None or facts.now < facts.stop_seen_at + facts.stop_grace:
        return None
    return Finding(RunEvent.CANCELLED, "stopped on request; the agent handed nothing over in time")


def pod_is_gone(facts: RunFacts) -> Finding | None:
    """Somebody deleted it, or its node is gone."""
    if facts.pod is not None or not facts.had_pod:
        return None
    return Finding(RunEvent.POD_FAILED, "the pod is gone: deleted, evicted, or its node was lost")


def pod_has_ended(facts: RunFacts) -> Finding | None:
    """An exit code decides nothing: a pod that ended without the gateway's word has failed."""
    if facts.pod is None or facts.pod.ended_at is None:
        return None
    if facts.now < facts.pod.ended_at + facts.outcome_grace:
        return Finding(RunEvent.WAITED, f"{facts.pod.failure}; waiting for the gateway's word")
    return Finding(RunEvent.POD_FAILED, facts.pod.failure)


def pod_is_there(facts: RunFacts) -> Finding | None:
    """The pod runs, or is about to."""
    if facts.pod is None:
        return None
    if facts.desired is Desired.STOPPED:
        return Finding(RunEvent.WAITED, "asked to stop; waiting for the hand-over")
    if facts.pod.phase == "Running":
        return Finding(RunEvent.POD_RAN, "the agent is running")
    return Finding(RunEvent.POD_MADE, facts.pod.trouble or "the pod is starting")


def start_is_awaited(facts: RunFacts) -> Finding:
    """Nothing objects, and nothing has started."""
    return Finding(RunEvent.WAITED, facts.waiting_for or "about to start")


FINDINGS: tuple[Callable[[RunFacts], Finding | None], ...] = (
    outcome_is_known,  # the ledger's word beats everything
    termination_is_wanted,
    authority_is_missing,
    deadline_has_passed,
    stop_is_due,
    pod_is_gone,
    pod_has_ended,
    pod_is_there,
)


def find(facts: RunFacts) -> Finding:
    """Return the first finding that speaks."""
    for finding_of in FINDINGS:
        if (finding := finding_of(facts)) is not None:
            return finding
    return start_is_awaited(facts)


def step(facts: RunFacts) -> tuple[RunReason, str]:
    """Return the run's reason now, and the message that goes with it."""
    finding = find(facts)
    return TRANSITIONS[facts.reason, finding.event], finding.message


def next_look(facts: RunFacts) -> float:
    """Return when time alone changes what `step` says: the earliest of the bounds that lie ahead."""
    bounds = [facts.deadline]
    if facts.stop_seen_at is not None:
        bounds.append(facts.stop_seen_at + facts.stop_grace)
    if facts.pod is not None and facts.pod.ended_at is not None:
        bounds.append(facts.pod.ended_at + facts.outcome_grace)
    ahead = [bound for bound in bounds if bound > facts.now]
    return min(ahead, default=facts.now)
