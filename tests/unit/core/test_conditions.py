"""Conditions: written by the kstatus convention, and what the linter finds in those that are not."""

from typing import Any

import pytest

from remit.api.reasons import RunReason
from remit.core.conditions import (
    MESSAGE_LIMIT,
    Standing,
    conditions_of,
    find_condition,
    is_alarming,
    run_conditions,
    same_conditions,
    violations,
)
from remit.core.remedies import OF_OBJECTS, OF_RUNS

EARLIER, NOW = "2026-11-21T12:00:00Z", "2026-11-21T13:00:00Z"
REVISION = {"name": "teller-1", "digest": "sha256:" + "0" * 64}


def a_status(**changes: Any) -> dict[str, Any]:
    conditions = run_conditions(RunReason.RUNNING, "m", generation=2, now=NOW, stopping=False)
    return {"observedGeneration": 2, "reason": "Running", "conditions": conditions, **changes}


def an_agents(standing: Standing = Standing.READY, reason: str = "Ready", **more: Any) -> dict[str, Any]:
    conditions = conditions_of(standing, reason, "m", generation=2, now=NOW)
    return {"observedGeneration": 2, "conditions": conditions, **more}


def a_try(uid: str, ended_at: str = NOW) -> dict[str, Any]:
    return {"pod": {"name": f"pod-{uid}", "uid": uid}, "endedAt": ended_at, "message": "its node was lost"}


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


def test_others_words_cannot_make_a_second_line_or_hide() -> None:
    hostile = "no room\nReady\x1b[2K \u202edetnarg {{ .Spec }} \u2028end"
    (ready,) = conditions_of(Standing.READY, "Ready", hostile, generation=1, now=NOW)

    assert ready["message"] == "no room Ready [2K  detnarg {{ .Spec }}  end"


def test_a_message_says_what_to_do_next_once_and_whole() -> None:
    made = run_conditions(RunReason.REVOKED, "m" * 5000, generation=1, now=NOW, stopping=False)
    again = run_conditions(RunReason.REVOKED, made[0]["message"], generation=1, now=NOW, stopping=False)

    assert made[0]["message"].endswith(f"mmm; next: {OF_RUNS[RunReason.REVOKED]}")
    assert len(made[0]["message"]) == MESSAGE_LIMIT
    assert again == made


@pytest.mark.parametrize("remedy", [*OF_RUNS.values(), *OF_OBJECTS.values()])
def test_a_remedy_is_short_and_a_sentence_goes_on_with_it(remedy: str) -> None:
    assert len(remedy) < 100
    assert remedy[0].islower()
    assert not remedy.endswith(".") or remedy.endswith("...")


@pytest.mark.parametrize(
    "status",
    [
        an_agents(activeRuns=0, enforced={"generation": 1}),
        an_agents(revision=REVISION, revisions=[{**REVISION, "name": "teller-0"}], warmPods=2, activeRuns=1),
        an_agents(Standing.STALLED, "Suspended", enforced={"generation": 1}),
        a_status(startedAt=EARLIER, pod={"name": "p", "uid": "w"}, tries=[a_try("u", EARLIER), a_try("v")]),
    ],
)
def test_what_is_in_order_is_not_complained_of(status: dict[str, Any]) -> None:
    assert violations(status) == ()


@pytest.mark.parametrize(
    ("reason", "message", "alarming"),
    [
        (RunReason.PENDING, "agent teller does not exist yet", False),
        (RunReason.PENDING, "NetworkPolicyNotEnforced: the probe reached the apiserver", True),
        (RunReason.STARTING, "no node has room for the pod", True),
        (RunReason.RUNNING, "the agent is running", False),
        (RunReason.SUSPENDED, "suspended on request", False),
        (RunReason.SUCCEEDED, "done", False),
        (RunReason.CANCELLED, "terminated on request", False),
        (RunReason.FAILED, "the pod is gone", True),
        (RunReason.REVOKED, "agent teller is Suspended", True),
    ],
)
def test_a_person_should_look_where_waiting_does_not_help(reason: RunReason, message: str, *, alarming: bool) -> None:
    (ready, *_) = run_conditions(reason, message, generation=1, now=NOW, stopping=False)

    assert is_alarming(ready) is alarming


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
        (with_condition("Ready", message=""), "the message is empty"),
        (with_condition("Ready", message="two\nlines"), "not one line"),
        (with_condition("Ready", message="m" * 1025), "too long"),
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
        (with_condition("Ready", status="False"), "Ready=False with reason Running"),
        (a_status(startedAt=NOW, finishedAt=EARLIER), "finishedAt lies before startedAt"),
        (a_status(pod={"name": "p", "uid": "u"}), "not when the run started"),
        (a_status(tries=[a_try("u"), a_try("u")]), "a pod was given up"),
        (a_status(startedAt=NOW, pod={"name": "p", "uid": "u"}, tries=[a_try("u")]), "a pod was given up"),
        (a_status(tries=[a_try("u"), a_try("v", EARLIER)]), "not in their order"),
        (an_agents(Standing.READY, "Suspended"), "Ready=True with reason Suspended"),
        (an_agents(Standing.RECONCILING, "Draft"), "somebody chose Draft"),
        (an_agents(Standing.STALLED, "Progressing"), "on its way"),
        (an_agents(Standing.STALLED, "Ready"), "Ready=False with reason Ready"),
        (an_agents(Standing.READY, "Ready", enforced={"generation": 1}), "the gateway enforces generation 1"),
        (an_agents(revision=REVISION, revisions=[REVISION]), "a revision stands twice"),
    ],
)
def test_the_linter_finds(status: dict[str, Any], words: str) -> None:
    assert any(words in violation for violation in violations(status)), violations(status)


def test_a_success_that_is_not_ready_is_found() -> None:
    status = with_condition("Succeeded", status="True")

    assert "Succeeded and Ready differ" in violations(status)
