"""The watch over statuses finds a dishonest one of the controller's, and leaves what a test wrote alone."""

from pathlib import Path
from typing import Any

from tests.support.status_watch import StatusWatch

from remit.api.reasons import RunReason
from remit.core.conditions import run_conditions

CONTROLLERS = {
    "manager": "remit-controller",
    "operation": "Apply",
    "fieldsV1": {"f:status": {"f:conditions": {}}},
}


def a_run(*managers: dict[str, Any], **status: Any) -> dict[str, Any]:
    conditions = run_conditions(RunReason.RUNNING, "m", generation=1, now="2026-11-21T12:00:00Z", stopping=False)
    metadata = {"name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7", "managedFields": list(managers)}
    whole = {"observedGeneration": 1, "reason": "Running", "conditions": conditions, **status}
    return {"kind": "AgentRun", "metadata": metadata, "status": whole}


def faults(*states: dict[str, Any]) -> int:
    watch = StatusWatch(Path("none"))
    for state in states:
        watch.look(state)
    return len(watch.faults)


def test_a_dishonest_status_is_found_once() -> None:
    dishonest = a_run(CONTROLLERS, reason="Succeeded")
    assert faults(dishonest, dishonest) == 1


def test_an_honest_one_is_no_fault() -> None:
    assert faults(a_run(CONTROLLERS)) == 0


def test_what_a_test_wrote_is_its_own_business() -> None:
    assert faults(a_run({**CONTROLLERS, "manager": "pytest"}, reason="Succeeded")) == 0
    assert faults(a_run(CONTROLLERS, {**CONTROLLERS, "operation": "Update"}, reason="Succeeded")) == 0
