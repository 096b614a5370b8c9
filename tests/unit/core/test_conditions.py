"""Conditions: written by the kstatus convention, and what the linter finds in those that are not."""

from typing import Any

import pytest

from remit.api.reasons import RunReason
from remit.core.conditions import (
    MESSAGE_LIMIT,
    Standing,
    conditions_of,
    find_condition,
    run_conditions,
    same_conditions,
    violations,
)

EARLIER, NOW = "2026-11-21T12:00:00Z", "2026-11-21T13:00:00Z"


def a_status(**changes: Any) -> dict[str, Any]:
    conditions = run_conditions(RunReason.RUNNING, "m", generation=2, now=NOW, stopping=False)
    return {"observedGeneration": 2, "reason": "Running", "conditions": conditions, **changes}


def with_condition(kind: str, **changes: Any) -> dict[str, Any]:
    status = a_status()
    return {
        **status,
        "conditions": [entry | changes if entry["type"] == kind else entry for entry in status["conditions"]],
    }


def without(kind: str) -> dict[str, Any]:
    status = a_status()
    return {**status, "conditions": [entry for entry in status["conditions"] if entry["type"] != kind]}


def plus(kind: str, status: str = "True") -> dict[str, Any]:
    entry = {**a_status()["conditions"][0], "type": kind, "status": status}
    return {**a_status(), "conditions": [*a_status()["conditions"], entry]}


def test_a_transition_time_changes_only_with_its_status() -> None:
    before = conditions_of(Standing.RECONCILING, "Progressing", "m", generation=1, now=EARLIER)
    after = conditions_of(Standing.RECONCILING, "GatewayNotReady", "n", generation=2, now=NOW, previous=before)
    ready = conditions_of(Standing.READY, "Ready", "n", generation=2, now=NOW, previous=after)

    assert {entry["lastTransitionTime"] for entry in after} == {EARLIER}
    assert [(entry["type"], entry["lastTransitionTime"]) for entry in ready] == [("Ready", NOW)]


def test_a_message_is_bounded() -> None:
    (ready,) = conditions_of(Standing.READY, "Ready", "m" * 5000, generation=1, now=NOW)

    assert len(ready["message"]) == MESSAGE_LIMIT


@pytest.mark.parametrize("reason", list(RunReason))
def test_every_reason_of_a_run_makes_an_honest_status(reason: RunReason) -> None:
    conditions = run_conditions(reason, "m", generation=1, now=NOW, stopping=True)
    status = {"observedGeneration": 1, "reason": str(reason), "conditions": conditions}
    finished = find_condition(conditions, "Finished") or {}
    if finished["status"] == "True":
        status["finishedAt"] = NOW

    assert violations(status) == ()


def test_order_does_not_matter() -> None:
    conditions = a_status()["conditions"]

    assert same_conditions(conditions, conditions[::-1])
    assert not same_conditions(conditions, conditions[1:])


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"conditions": []}, "Ready is missing"),
        (without("Ready"), "Ready is missing"),
        (without("Reconciling"), "neither Reconciling nor Stalled"),
        (without("Finished"), "go together"),
        (with_condition("Reconciling", status="False"), "not True"),
        (with_condition("Ready", status="True"), "Ready beside"),
        (with_condition("Ready", status="Perhaps"), "status 'Perhaps'"),
        (with_condition("Ready", reason="two words"), "odd reason"),
        (with_condition("Ready", message=""), "empty message"),
        (with_condition("Ready", reason="Unheard"), "unknown reason"),
        (with_condition("Ready", reason="Starting"), "is not that of Ready"),
        (with_condition("Ready", observedGeneration=1), "observedGeneration 1"),
        (with_condition("Ready", extra=1), "has"),
        (with_condition("Succeeded", status="False"), "Finished=False beside Succeeded=False"),
        (with_condition("Finished", status="True"), "Finished=True"),
        (plus("Stalled"), "at once"),
        (plus("Stalled"), "Ready is not False"),
        (plus("Ready"), "stands twice"),
        (a_status(phase="Running"), "phase"),
        (a_status(finishedAt=NOW), "finishedAt goes with Finished"),
    ],
)
def test_the_linter_finds(status: dict[str, Any], words: str) -> None:
    assert any(words in violation for violation in violations(status)), violations(status)


def test_a_success_that_is_not_ready_is_found() -> None:
    status = with_condition("Succeeded", status="True")

    assert "Succeeded and Ready differ" in violations(status)
