"""A run's facts out of its object and its pod, and its status out of what was decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remit.api.agentrun import AgentRunSpec, Desired
from remit.api.reasons import FINAL_RUN_REASONS, RunReason
from remit.core.admission import Disallowed, Wait
from remit.core.conditions import find_condition, run_conditions
from remit.core.lifecycle import RunFacts, Tries
from remit.core.moments import epoch_seconds, timestamp
from remit.core.pods import pod_facts

Object = Mapping[str, Any]
BACKOFF_SECONDS = 10.0
"""Pause before the first new try where a run does not say another."""
MAX_FAILURE = 1024
"""Length of what a status says of a try that failed."""
RUN_STATUS_FIELDS = (
    "conditions",
    "observedGeneration",
    "reason",
    "pod",
    "revision",
    "startedAt",
    "finishedAt",
    "tries",
)
"""What the controller writes of a run's status; the rest is the gateway's."""
KILLED_AT_ONCE = frozenset(
    {
        RunReason.CANCELLED,
        RunReason.DEADLINE_EXCEEDED,
        RunReason.DENIED,
        RunReason.POLICY_VIOLATION,
        RunReason.REVOKED,
    }
)
"""Ends that do not leave the pod to end by itself."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long to wait for others' words."""

    stop_grace: float
    outcome_grace: float


@dataclass(frozen=True, slots=True)
class Started:
    """A pod of the run's own, and the agent's revision that it is pinned to."""

    pod: Object
    revision: Object


def reason_of(run: Object) -> RunReason:
    """Return where the run stands by its status."""
    try:
        return RunReason((run.get("status") or {}).get("reason", RunReason.PENDING))
    except ValueError:
        return RunReason.PENDING


def recorded_uid(run: Object) -> str:
    """Return the UID of the pod that the status names."""
    return str(((run.get("status") or {}).get("pod") or {}).get("uid", ""))


def is_killed_at_once(run: Object) -> bool:
    """Tell whether the pod of a finished run is not left to end by itself."""
    outcome = (run.get("status") or {}).get("outcome") or {}
    return reason_of(run) in KILLED_AT_ONCE or bool(outcome.get("recordedFrom"))


def is_child_of(child: Object | None, owner: Object) -> bool:
    """Tell whether the one owns the other: the UID says it, not the name."""
    owners = (child["metadata"].get("ownerReferences") or ()) if child is not None else ()
    return any(entry.get("uid") == owner["metadata"]["uid"] for entry in owners)


def facts_of(
    run: Object, spec: AgentRunSpec, pod: Object | None, review: Disallowed | Wait | None, *, now: float, bounds: Bounds
) -> RunFacts:
    """Return what the run's course depends on. A pod that the status does not name yet is none."""
    status = run.get("status") or {}
    recorded = recorded_uid(run)
    ours = pod if pod is not None and pod["metadata"]["uid"] == recorded else None
    outcome = status.get("outcome") or {}
    return RunFacts(
        reason=reason_of(run),
        now=now,
        deadline=epoch_seconds(run["metadata"]["creationTimestamp"]) + spec.deadline_seconds,
        desired=spec.desired,
        stop_seen_at=_stop_seen_at(status, spec, now),
        disallowed=review.message if isinstance(review, Disallowed) else "",
        waiting_for=review.message if isinstance(review, Wait) else "",
        told=_told(status) if not recorded else "",
        had_pod=bool(recorded),
        pod=pod_facts(ours) if ours is not None else None,
        tries=_tries(status, spec),
        outcome=_outcome_reason(outcome),
        outcome_message=_outcome_message(outcome),
        stop_grace=bounds.stop_grace,
        outcome_grace=bounds.outcome_grace,
    )


def _outcome_reason(outcome: Object) -> RunReason | None:
    if not outcome:
        return None
    known = {str(reason): reason for reason in FINAL_RUN_REASONS}
    return known.get(str(outcome.get("reason")), RunReason.FAILED)


def _outcome_message(outcome: Object) -> str:
    """Return the gateway's words; whose work is shown stands among them."""
    message, earlier = str(outcome.get("message") or outcome.get("reason") or ""), str(outcome.get("recordedFrom", ""))
    if not earlier or earlier in message:
        return message
    return f"{message} (recorded from run {earlier}: this run executed nothing)"


def _told(status: Object) -> str:
    """Return what the status says of a run that has not started."""
    ready = find_condition(status.get("conditions") or (), "Ready")
    return str(ready["message"]) if ready and ready.get("reason") == RunReason.PENDING else ""


def _tries(status: Object, spec: AgentRunSpec) -> Tries:
    failed: Sequence[Object] = status.get("tries") or ()
    if not failed:
        return Tries(limit=spec.retry.limit, backoff=spec.retry.backoff_seconds)
    return Tries(
        failed=len(failed),
        limit=spec.retry.limit,
        backoff=spec.retry.backoff_seconds,
        last_at=epoch_seconds(failed[-1]["endedAt"]),
        last_failure=str(failed[-1]["message"]),
    )


def given_up(run: Object) -> frozenset[str]:
    """Return the UIDs of the run's pods that the infrastructure failed."""
    return frozenset(failed["pod"]["uid"] for failed in (run.get("status") or {}).get("tries") or ())


def next_try_at(run: Object) -> float:
    """Return when the run's next pod is due; 0 for its first."""
    failed: Sequence[Object] = (run.get("status") or {}).get("tries") or ()
    if not failed:
        return 0.0
    backoff = (run["spec"].get("retry") or {}).get("backoffSeconds", BACKOFF_SECONDS)
    return Tries(failed=len(failed), backoff=backoff, last_at=epoch_seconds(failed[-1]["endedAt"])).next_at


def _stop_seen_at(status: Object, spec: AgentRunSpec, now: float) -> float | None:
    if spec.desired is not Desired.STOPPED:
        return None
    stopping = find_condition(status.get("conditions") or (), "Stopping")
    return epoch_seconds(stopping["lastTransitionTime"]) if stopping else now


def status_of(
    run: Object,
    reason: RunReason,
    message: str,
    *,
    now: float,
    start: Started | None = None,
    lost: str = "",
    stopping: bool,
) -> dict[str, Any]:
    """Return our whole part of the run's status.

    `start` is what was just made or adopted, `lost` why the pod is given up for another.
    """
    before = run.get("status") or {}
    moment, generation = timestamp(now), run["metadata"].get("generation", 0)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "reason": str(reason),
        "conditions": run_conditions(
            reason,
            message,
            generation=generation,
            now=moment,
            previous=before.get("conditions") or (),
            stopping=stopping,
        ),
    }
    status.update({field: before[field] for field in ("pod", "revision", "startedAt", "tries") if field in before})
    if lost:
        failed = {"pod": status.pop("pod"), "endedAt": moment, "message": lost[:MAX_FAILURE]}
        status["tries"] = [*status.get("tries", ()), failed]
    if start is not None:
        status["pod"] = {"name": start.pod["metadata"]["name"], "uid": start.pod["metadata"]["uid"]}
        status["revision"] = dict(start.revision)
        status.setdefault("startedAt", moment)
    if reason in FINAL_RUN_REASONS:
        status["finishedAt"] = before.get("finishedAt", moment)
    return status


def status_once_ended(run: Object, *, now: float) -> dict[str, Any] | None:
    """Return the status of a finished run whose spec was changed since: it stays as it ended. None: nothing to say.

    Without it a generic reader waits for ever for somebody to look at the change.
    """
    status = run.get("status") or {}
    finished = find_condition(status.get("conditions") or (), "Finished") or {}
    known = {str(reason): reason for reason in FINAL_RUN_REASONS}
    reason = known.get(str(finished.get("reason")))
    if reason is None or status.get("observedGeneration") == run["metadata"].get("generation", 0):
        return None
    return status_of(run, reason, str(finished.get("message")), now=now, stopping=False)
