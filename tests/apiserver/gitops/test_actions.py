"""The actions of Argo CD's menu: which are offered when, and what comes of them on a real apiserver."""

from functools import cache
from typing import Any

import pytest
from tests.apiserver.crds.test_kinds import SPECS
from tests.support.gitops_judge import Action, judge
from tests.support.kube import Kube

from remit.api.kinds import KINDS
from remit.api.reasons import RunReason
from remit.core.conditions import run_conditions

Object = dict[str, Any]
PLURALS = {kind.name: kind.plural for kind in KINDS}
FIELDS = {"AgentRun": "desired", "Agent": "lifecycle", "ToolGrant": "suspended"}
CASES: dict[str, tuple[str, Any, bool, set[str]]] = {
    "a run": ("AgentRun", "Running", False, {"suspend", "stop", "terminate"}),
    "a suspended run": ("AgentRun", "Suspended", False, {"resume", "stop", "terminate"}),
    "a run that is asked to stop": ("AgentRun", "Stopped", False, {"terminate"}),
    "a run that is terminated": ("AgentRun", "Terminated", False, set()),
    "a finished run": ("AgentRun", "Running", True, set()),
    "an active agent": ("Agent", "Active", False, {"suspend"}),
    "a suspended agent": ("Agent", "Suspended", False, {"resume"}),
    "a draft": ("Agent", "Draft", False, set()),
    "a retired agent": ("Agent", "Retired", False, set()),
    "a grant": ("ToolGrant", False, False, {"suspend"}),
    "a suspended grant": ("ToolGrant", True, False, {"resume"}),
}
OUTCOMES = {
    ("AgentRun", "suspend"): "Suspended",
    ("AgentRun", "resume"): "Running",
    ("AgentRun", "stop"): "Stopped",
    ("AgentRun", "terminate"): "Terminated",
    ("Agent", "suspend"): "Suspended",
    ("Agent", "resume"): "Active",
    ("ToolGrant", "suspend"): True,
    ("ToolGrant", "resume"): False,
}


def an_object(kind: str, value: Any, *, finished: bool = False) -> Object:
    """Return an object of the kind whose field for actions has the value."""
    spec = {**SPECS[kind], FIELDS[kind]: value, **({"input": {}} if kind == "AgentRun" else {})}
    reason = RunReason.SUCCEEDED if finished else RunReason.RUNNING
    conditions = run_conditions(reason, "m", generation=1, now="2026-11-21T12:00:00Z", stopping=False)
    metadata = {"name": f"acted-on-{str(value).lower()}", "generation": 1}
    status = {"status": {"observedGeneration": 1, "conditions": conditions}} if kind == "AgentRun" else {}
    return {"apiVersion": "remit.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, **status}


@cache
def offered() -> dict[str, dict[str, Action]]:
    """Judge all cases at once."""
    objects = (an_object(kind, value, finished=finished) for kind, value, finished, _ in CASES.values())
    return dict(zip(CASES, (found.actions for found in judge(objects)), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_what_makes_sense_is_offered(case: str) -> None:
    kind, _, _, enabled = CASES[case]
    menu = offered()[case]
    assert {name for name, action in menu.items() if not action.disabled} == enabled
    assert set(menu) == {name for of, name in OUTCOMES if of == kind}


@pytest.mark.parametrize("case", CASES)
def test_an_action_changes_its_field_and_nothing_else(case: str) -> None:
    kind, value, finished, _ = CASES[case]
    before = an_object(kind, value, finished=finished)
    for name, action in offered()[case].items():
        assert action.result == {**before, "spec": {**before["spec"], FIELDS[kind]: OUTCOMES[kind, name]}}


@pytest.mark.parametrize(("case", "name"), [(case, name) for case in CASES for name in sorted(CASES[case][3])])
def test_the_apiserver_takes_what_an_action_makes_of_an_object(
    kube: Kube, namespace: str, case: str, name: str
) -> None:
    kind, value, _, _ = CASES[case]
    collection = f"/apis/remit.dev/v1alpha1/namespaces/{namespace}/{PLURALS[kind]}"
    given = an_object(kind, value)
    given["metadata"] = {"name": f"{kind.lower()}-{str(value).lower()}-{name}"}
    made = kube.create(collection, {key: found for key, found in given.items() if key != "status"})
    assert made.code == 201, made.message

    (found,) = judge([made.body])
    after = found.actions[name].result
    change = {key: after["spec"][key] for key in after["spec"] if after["spec"][key] != made.body["spec"].get(key)}
    answer = kube.patch(f"{collection}/{given['metadata']['name']}", {"spec": change})

    assert answer.code == 200, answer.message
    assert answer.body["spec"] == after["spec"]
    assert change == {FIELDS[kind]: OUTCOMES[kind, name]}
