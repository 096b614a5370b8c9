"""What becomes of a run: one table of transitions, and the findings that say which event the facts amount to.

Pure. INVARIANT: the table is total over (reason, event), a final reason is never left, every reason is reachable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from remit.api.agentrun import Desired
from remit.api.reasons import FINAL_RUN_REASONS, RunReason

STOP_GRACE_SECONDS = 30.0
"""How long an agent that was asked to stop has for its hand-over."""
OUTCOME_GRACE_SECONDS = 15.0
"""How long the gateway has, after the pod ended, to say how the run ended: it may be starting again just then."""
LONGEST_PAUSE_SECONDS = 3600.0
"""The pause between tries doubles up to this."""
POD_IS_STARTING = "the pod is starting"
POD_IS_GONE = "the pod is gone: deleted, evicted, or its node was lost"
POD_DOES_NOT_GO = "the pod is being deleted and does not end: its node may be lost"


class RunEvent(StrEnum):
    """What happened to a run, as far as its reason is concerned."""

    WAITED = "Waited"
    READY = "Ready"
    HELD = "Held"
    POD_MADE = "PodMade"
    POD_RAN = "PodRan"
    POD_ENDED = "PodEnded"
    TRY_FAILED = "TryFailed"
    DENIED = "Denied"
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
    RunEvent.DENIED: RunReason.DENIED,
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
_WITHOUT_POD: Mapping[RunEvent, RunReason] = {
    RunEvent.WAITED: RunReason.PENDING,
    RunEvent.READY: RunReason.PENDING,
    RunEvent.HELD: RunReason.SUSPENDED,
    RunEvent.TRY_FAILED: RunReason.PENDING,
}
_UNDER_WAY: Mapping[RunReason, Mapping[RunEvent, RunReason]] = {
    RunReason.PENDING: {
        **_WITHOUT_POD,
        RunEvent.POD_MADE: RunReason.STARTING,
        RunEvent.POD_RAN: RunReason.RUNNING,
        RunEvent.POD_ENDED: RunReason.STARTING,
    },
    RunReason.STARTING: {
        **_WITHOUT_POD,
        RunEvent.POD_MADE: RunReason.STARTING,
        RunEvent.POD_RAN: RunReason.RUNNING,
        RunEvent.POD_ENDED: RunReason.STARTING,
    },
    RunReason.RUNNING: {
        **_WITHOUT_POD,
        RunEvent.POD_MADE: RunReason.RUNNING,  # a kubelet that was away does not make it start again
        RunEvent.POD_RAN: RunReason.RUNNING,
        RunEvent.POD_ENDED: RunReason.RUNNING,
    },
    RunReason.SUSPENDED: {
        **_WITHOUT_POD,
        RunEvent.POD_MADE: RunReason.STARTING,
        RunEvent.POD_RAN: RunReason.RUNNING,
        RunEvent.POD_ENDED: RunReason.SUSPENDED,
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
    RunReason.DENIED: RunEvent.DENIED,
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
    gave_up: bool = False
    """Whether the agent's process ended of its own will: no other try would change that."""
    leaves_at: float | None = None
    """When it is to be gone, once it is being deleted."""


@dataclass(frozen=True, slots=True)
class Tries:
    """The pods that the infrastructure failed, and how many more there may be."""

    failed: int = 0
    limit: int = 0
    """How many more pods than one."""
    backoff: float = 10.0
    last_at: float = 0.0
    """When the last one was given up."""
    last_failure: str = ""

    @property
    def pause(self) -> float:
        """How long to wait after the last one."""
        return min(self.backoff * 2.0 ** max(self.failed - 1, 0), LONGEST_PAUSE_SECONDS)

    @property
    def next_at(self) -> float:
        """When the next one is due."""
        return self.last_at + self.pause if self.failed else 0.0

    def with_failure(self, failure: str, now: float) -> Tries:
        """Return the tries with one more that failed."""
        return replace(self, failed=self.failed + 1, last_at=now, last_failure=failure)

    def plan(self) -> str:
        """Say what failed, and when it is tried again."""
        return f"{self.last_failure}; try {self.failed + 1} of {self.limit + 1} after {self.pause:.0f} s"


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
    told: str = ""
    """What its status said while it had no pod: why it did not start."""
    had_pod: bool = False
    """Whether the status names a pod."""
    pod: PodFacts | None = None
    tries: Tries = Tries()
    outcome: RunReason | None = None
    """The gateway's word on how the run ended, from the ledger."""
    outcome_message: str = ""
    stop_grace: float = STOP_GRACE_SECONDS
    outcome_grace: float = OUTCOME_GRACE_SECONDS

    @property
    def began(self) -> bool:
        """Tell whether a pod of the run was ever there."""
        return self.had_pod or self.tries.failed > 0


@dataclass(frozen=True, slots=True)
class Finding:
    """An event and what a person should know about it."""

    event: RunEvent
    message: str
    failure: str = ""
    """Why the pod is given up, when it is, and the run is not."""


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
    """Refused before it began, or taken back under way."""
    if not facts.disallowed:
        return None
    return Finding(RunEvent.REVOKED if facts.began else RunEvent.DENIED, facts.disallowed)


def deadline_has_passed(facts: RunFacts) -> Finding | None:
    """The time from creation to the end is over, suspended or not."""
    if facts.now < facts.deadline:
        return None
    why = facts.waiting_for or facts.told
    so_far = f"; it was waiting: {why}" if why and facts.pod is None else ""
    return Finding(RunEvent.DEADLINE_PASSED, f"the deadline passed{so_far}")


def stop_is_due(facts: RunFacts) -> Finding | None:
    """Stopped waits for the hand-over, within bounds, where there is anyone to hand over."""
    if facts.desired is not Desired.STOPPED:
        return None
    if facts.pod is None and not facts.had_pod:
        when = "between two tries" if facts.began else "before it started"
        return Finding(RunEvent.CANCELLED, f"stopped on request {when}")
    if failure := failure_of(facts):
        return Finding(RunEvent.CANCELLED, f"stopped on request; nothing was handed over: {failure}")
    if facts.stop_seen_at is None or facts.now < facts.stop_seen_at + facts.stop_grace:
        return None
    return Finding(RunEvent.CANCELLED, "stopped on request; the agent handed nothing over in time")


def pod_is_lost(facts: RunFacts) -> Finding | None:
    """Another pod may be tried when it was not the agent's doing; one whose agent wrote is not served again."""
    failure, tries = failure_of(facts), facts.tries
    if not failure:
        return None
    if tries.failed >= tries.limit or (facts.pod is not None and facts.pod.gave_up):
        last = f" (try {tries.failed + 1} of {tries.limit + 1})" if tries.limit else ""
        return Finding(RunEvent.POD_FAILED, f"{failure}{last}")
    after = tries.with_failure(failure, facts.now)
    if facts.desired is Desired.SUSPENDED:
        return Finding(RunEvent.HELD, _held_without_pod(after), failure)
    return Finding(RunEvent.TRY_FAILED, after.plan(), failure)


def failure_of(facts: RunFacts) -> str:
    """Say why the pod is lost for good; empty while it is not. An exit code decides nothing else."""
    if not facts.had_pod:
        return ""
    pod, patience = facts.pod, facts.outcome_grace
    if pod is None:
        return POD_IS_GONE
    if pod.ended_at is not None:
        return pod.failure if facts.now >= pod.ended_at + patience else ""
    if pod.leaves_at is not None and facts.now >= pod.leaves_at + patience:
        return POD_DOES_NOT_GO
    return ""


def pod_has_ended(facts: RunFacts) -> Finding | None:
    """The pod ends or has ended, and the gateway has its say first."""
    if facts.pod is None or (facts.pod.ended_at is None and facts.pod.leaves_at is None):
        return None
    what = facts.pod.failure if facts.pod.ended_at is not None else "the pod is being deleted"
    return Finding(RunEvent.POD_ENDED, f"{what}; waiting for the gateway's word")


def suspension_is_wanted(facts: RunFacts) -> Finding | None:
    """Suspended keeps the pod, and makes none."""
    if facts.desired is not Desired.SUSPENDED:
        return None
    if facts.pod is None:
        return Finding(RunEvent.HELD, _held_without_pod(facts.tries))
    return Finding(RunEvent.HELD, "suspended on request: its calls wait at the gateway, and its deadline goes on")


def _held_without_pod(tries: Tries) -> str:
    if not tries.failed:
        return "suspended on request before it started; its deadline goes on"
    return f"suspended on request; another pod is made when it is resumed: {tries.last_failure}"


def pod_is_there(facts: RunFacts) -> Finding | None:
    """The pod runs, or is about to."""
    if facts.pod is None:
        return None
    runs = facts.pod.phase == "Running"
    if facts.desired is Desired.STOPPED:
        message = "asked to stop; waiting for the hand-over"
    elif runs:
        message = "the agent is running"
    else:
        message = facts.pod.trouble or POD_IS_STARTING
    return Finding(RunEvent.POD_RAN if runs else RunEvent.POD_MADE, message)


def next_try_is_not_due(facts: RunFacts) -> Finding | None:
    """What failed just now is not tried again at once."""
    if facts.now >= facts.tries.next_at:
        return None
    return Finding(RunEvent.WAITED, facts.tries.plan())


def start_is_awaited(facts: RunFacts) -> Finding:
    """Nothing objects, and nothing has started."""
    if facts.waiting_for:
        return Finding(RunEvent.WAITED, facts.waiting_for)
    return Finding(RunEvent.READY, "about to start")


FINDINGS: tuple[Callable[[RunFacts], Finding | None], ...] = (
    outcome_is_known,  # the ledger's word beats everything
    termination_is_wanted,
    authority_is_missing,
    deadline_has_passed,
    stop_is_due,
    pod_is_lost,
    pod_has_ended,
    suspension_is_wanted,
    pod_is_there,
    next_try_is_not_due,
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


def without_pod(facts: RunFacts, failure: str) -> RunFacts:
    """Return the facts of a run whose pod was given up just now."""
    return replace(facts, had_pod=False, pod=None, tries=facts.tries.with_failure(failure, facts.now))


def next_look(facts: RunFacts) -> float:
    """Return when time alone changes what `step` says: the earliest of the bounds that lie ahead."""
    bounds = [facts.deadline]
    if facts.stop_seen_at is not None:
        bounds.append(facts.stop_seen_at + facts.stop_grace)
    if facts.pod is not None:
        ends = [end for end in (facts.pod.ended_at, facts.pod.leaves_at) if end is not None]
        bounds += [end + facts.outcome_grace for end in ends]
    elif not facts.had_pod:
        bounds.append(facts.tries.next_at)
    ahead = [bound for bound in bounds if bound > facts.now]
    return min(ahead, default=facts.now)
