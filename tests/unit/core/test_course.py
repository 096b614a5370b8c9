"""A run's facts out of its object, and a pod's out of its status."""

from typing import Any

import pytest

from remit.api.agentrun import AgentRunSpec
from remit.api.reasons import RunReason
from remit.core.course import Bounds, facts_of, is_child_of, reason_of
from remit.core.pods import pod_facts

SPEC = AgentRunSpec(agent="teller", purpose="card-dispute")


def a_run(**status: Any) -> dict[str, Any]:
    return {"metadata": {"uid": "run", "creationTimestamp": "2026-11-21T12:00:00Z"}, "status": status}


def a_pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "uid": "u", "creationTimestamp": "2026-11-21T12:00:00Z"}, "status": status}


def facts(run: dict[str, Any], pod: dict[str, Any] | None = None) -> Any:
    return facts_of(run, SPEC, pod, None, now=0.0, bounds=Bounds(30, 15))


def test_a_reason_that_nobody_knows_counts_as_pending() -> None:
    assert reason_of(a_run(reason="Dreaming")) is RunReason.PENDING


def test_an_outcome_that_nobody_knows_counts_as_failed() -> None:
    assert facts(a_run(outcome={"reason": "Dreaming", "message": "m"})).outcome is RunReason.FAILED


def test_a_pod_of_another_uid_is_not_the_runs() -> None:
    found = facts(a_run(pod={"name": "p", "uid": "other"}), a_pod())

    assert found.had_pod
    assert found.pod is None


def test_nobody_owns_what_is_not_there() -> None:
    assert not is_child_of(None, a_run())


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({}, ""),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        ({"containerStatuses": [{"state": {}}]}, ""),
        (
            {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CreateContainerError"}}}]},
            "does not start",
        ),
        ({"conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "full"}]}, "no node has room"),
    ],
)
def test_trouble_is_named(status: dict[str, Any], trouble: str) -> None:
    assert trouble in pod_facts(a_pod(**status)).trouble
    assert bool(trouble) == bool(pod_facts(a_pod(**status)).trouble)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, "the pod ended: Evicted: disk"),
        ({"phase": "Failed", "reason": "Evicted"}, "the pod ended: Evicted"),
        ({"phase": "Failed"}, "the pod failed"),
        ({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}, "the pod failed"),
        ({"phase": "Succeeded"}, "the agent's process ended and handed no result in"),
    ],
)
def test_failures_are_named(status: dict[str, Any], failure: str) -> None:
    assert pod_facts(a_pod(**status)).failure == failure
