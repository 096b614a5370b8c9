"""Every kind in every state, judged by Flux's kstatus, by Argo CD's Lua and by Flux's CEL: all say the same.

One table says where each reason stands; the statuses are made by the code that makes the controller's.
"""

from functools import cache
from typing import Any

import pytest
from tests.support.gitops_judge import Verdict, judge

from remit.api.kinds import AGENT_RUN, KINDS
from remit.api.reasons import FINAL_RUN_REASONS, ObjectReason, RunReason
from remit.codegen.crd import object_schema
from remit.core.conditions import MEANT, Standing, conditions_of, run_conditions

Object = dict[str, Any]
Case = tuple[str, str, str]
"""A kind, a reason, and the circumstances."""

NOW, GENERATION = "2026-11-21T12:00:00Z", 7
WAITING, READY = ("InProgress", "Progressing", "InProgress"), ("Current", "Healthy", "Current")
FAILED = ("Failed", "Degraded", "Failed")
HELD = ("InProgress", "Suspended", "InProgress")
MEANT_SO = ("Failed", "Suspended", "Current")
"""Git itself says so: kstatus has no word for it, and takes what is not Ready and will not be for a failure."""

OF_RUNS = {
    RunReason.PENDING: WAITING,
    RunReason.STARTING: WAITING,
    RunReason.RUNNING: WAITING,
    RunReason.SUSPENDED: HELD,
    RunReason.SUCCEEDED: READY,
    RunReason.FAILED: FAILED,
    RunReason.DENIED: FAILED,
    RunReason.POLICY_VIOLATION: FAILED,
    RunReason.BUDGET_EXHAUSTED: FAILED,
    RunReason.DEADLINE_EXCEEDED: FAILED,
    RunReason.REVOKED: FAILED,
    RunReason.CANCELLED: FAILED,
    RunReason.OUTCOME_UNKNOWN: FAILED,
}
OF_OBJECTS = {
    **dict.fromkeys(ObjectReason, FAILED),
    ObjectReason.READY: READY,
    ObjectReason.PROGRESSING: WAITING,
    ObjectReason.GATEWAY_NOT_READY: WAITING,
    ObjectReason.DRAFT: MEANT_SO,
    ObjectReason.SUSPENDED: MEANT_SO,
    ObjectReason.RETIRED: MEANT_SO,
}
STANDINGS = {WAITING: Standing.RECONCILING, READY: Standing.READY, FAILED: Standing.STALLED, MEANT_SO: Standing.STALLED}


def an_object(kind: str, status: Object | None) -> Object:
    """Return an object of the kind with this status."""
    metadata = {"name": "judged", "namespace": "bank", "generation": GENERATION}
    found = {"apiVersion": "remit.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": {}}
    return found if status is None else {**found, "status": status}


def status_of_run(reason: RunReason, *, observed: int, stopping: bool) -> Object:
    """Return a run's status as the controller writes it."""
    conditions = run_conditions(reason, "why", generation=observed, now=NOW, stopping=stopping)
    finished = {"finishedAt": NOW} if reason in FINAL_RUN_REASONS else {}
    return {"observedGeneration": observed, "reason": str(reason), "conditions": conditions, **finished}


def status_of_object(reason: ObjectReason, *, observed: int) -> Object:
    """Return another object's status as the controller writes it."""
    standing = STANDINGS[OF_OBJECTS[reason]]
    conditions = conditions_of(standing, reason, "why", generation=observed, now=NOW)
    return {"observedGeneration": observed, "conditions": conditions}


@cache
def cases() -> dict[Case, tuple[Object, tuple[str, str, str]]]:
    """Return every object to be judged, with the verdicts that are expected."""
    found: dict[Case, tuple[Object, tuple[str, str, str]]] = {}
    for reason, expected in OF_RUNS.items():
        for words, observed, stopping, verdicts in (
            ("now", GENERATION, False, expected),
            ("stopping", GENERATION, True, expected),
            ("before the last change", GENERATION - 1, False, WAITING),
        ):
            status = status_of_run(reason, observed=observed, stopping=stopping)
            found[AGENT_RUN.name, reason, words] = an_object(AGENT_RUN.name, status), verdicts
    for kind in (kind.name for kind in KINDS if kind is not AGENT_RUN):
        for why, wanted in OF_OBJECTS.items():
            now, before = (status_of_object(why, observed=each) for each in (GENERATION, GENERATION - 1))
            found[kind, why, "now"] = an_object(kind, now), wanted
            found[kind, why, "before the last change"] = an_object(kind, before), WAITING
    for each in KINDS:
        default = object_schema(each)["properties"]["status"]["default"]
        found[each.name, "none", "just created"] = an_object(each.name, default), WAITING
    return found


@cache
def judged() -> dict[Case, Verdict]:
    """Judge all of them at once."""
    table = cases()
    return dict(zip(table, judge(thing for thing, _ in table.values()), strict=True))


@pytest.mark.parametrize("case", cases(), ids="-".join)
def test_all_three_agree(case: Case) -> None:
    found = judged()[case]
    assert (found.kstatus, found.argo, found.flux) == cases()[case][1]


def test_every_reason_stands_in_the_table() -> None:
    assert set(OF_RUNS) == set(RunReason)
    assert set(OF_OBJECTS) == set(ObjectReason)
    assert {reason for reason, verdicts in OF_OBJECTS.items() if verdicts == MEANT_SO} == set(MEANT)


def test_argo_shows_the_reason_and_the_message() -> None:
    assert judged()["AgentRun", RunReason.REVOKED, "now"].argo_says.startswith("Revoked: why; next: ")


@pytest.mark.parametrize("status", [None, {}], ids=["no status", "an empty one"])
def test_without_the_default_an_object_that_nobody_saw_would_pass_for_current(status: Object | None) -> None:
    (found,) = judge([an_object("Agent", status)])
    assert (found.kstatus, found.argo) == ("Current", "Progressing")
    assert found.flux in {"Unknown", "InProgress"}


def test_a_kind_without_a_script_of_its_own_has_the_groups() -> None:
    (found,) = judge([an_object("Approval", {"observedGeneration": -1})])
    assert found.argo == "Progressing"
