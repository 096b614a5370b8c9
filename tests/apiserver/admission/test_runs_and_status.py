"""Who may say on whose authority a run acts, where it stands, and what holds beyond a namespace."""

from typing import Any

import pytest
from tests.support.kube import Kube

APIS = "/apis/remit.dev/v1alpha1/namespaces"
ADMIN = "system:masters"
CONTROLLER = "system:serviceaccount:remit-system:remit-controller"
GATEWAY = "system:serviceaccount:remit-system:remit-gateway"
STATUS_REFUSED = "status is written by Remit's controller and gateway only"
SPECS: dict[str, tuple[str, dict[str, Any]]] = {
    "agents": (
        "Agent",
        {
            "owner": "disputes",
            "purposes": ["card-dispute"],
            "runtime": {"harness": {}},
            "instructions": {"inline": "Resolve."},
            "model": {"grant": "provider", "name": "gpt-5"},
        },
    ),
    "toolgrants": (
        "ToolGrant",
        {
            "agents": {"names": ["resolver"]},
            "purposes": ["card-dispute"],
            "upstream": {"mcp": {"url": "https://bank.example/mcp"}},
            "tools": [{"name": "read", "risk": "ReadOnly", "inputSchema": {}, "constraints": []}],
        },
    ),
    "policies": (
        "Policy",
        {
            "rules": [],
            "budgets": [{"per": "Run", "costMicroUSD": 1, "tokens": 1, "toolCalls": 1, "wallClockSeconds": 1}],
        },
    ),
    "agentruns": ("AgentRun", {"agent": "resolver", "purpose": "card-dispute"}),
}


def manifest(plural: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return an object of a kind, with fields of its spec put over the usual ones."""
    kind, usual = SPECS[plural]
    return {
        "apiVersion": "remit.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**usual, **spec},
    }


def test_a_run_carries_its_authenticated_user(kube: Kube, namespace: str) -> None:
    alice = kube.acting_as("alice", ADMIN, "disputes")
    made = alice.create(f"{APIS}/{namespace}/agentruns", manifest("agentruns", "plain"))
    wanted = {"username": "alice", "uid": "", "groups": [ADMIN, "disputes", "system:authenticated"]}
    assert made.body["spec"]["requester"] == wanted


def test_a_forged_requester_is_written_over(kube: Kube, namespace: str) -> None:
    forged = manifest("agentruns", "forged", requester={"username": "ceo", "groups": ["board"]})
    made = kube.acting_as("alice", ADMIN).create(f"{APIS}/{namespace}/agentruns", forged)
    assert made.body["spec"]["requester"]["username"] == "alice"


def test_an_apply_that_creates_is_stamped_and_owns_nothing_of_it(kube: Kube, namespace: str) -> None:
    path = f"{APIS}/{namespace}/agentruns/applied?fieldManager=kubectl"
    alice, body = kube.acting_as("alice", ADMIN), manifest("agentruns", "applied")
    first = alice.send("PATCH", path, body, kind="application/apply-patch+yaml")
    again = kube.acting_as("bob", ADMIN).send("PATCH", path, body, kind="application/apply-patch+yaml")
    assert [first.code, again.code] == [201, 200]
    assert again.body["spec"]["requester"]["username"] == "alice"


def test_nobody_becomes_the_requester_of_a_run_later(kube: Kube, namespace: str) -> None:
    kube.acting_as("alice", ADMIN).create(f"{APIS}/{namespace}/agentruns", manifest("agentruns", "taken"))
    change = {"spec": {"requester": {"username": "bob"}}}
    refused = kube.acting_as("bob", ADMIN).patch(f"{APIS}/{namespace}/agentruns/taken", change)
    assert "requester must not change" in refused.message


@pytest.mark.parametrize("plural", SPECS)
def test_not_even_an_administrator_writes_status(kube: Kube, namespace: str, plural: str) -> None:
    kube.create(f"{APIS}/{namespace}/{plural}", manifest(plural, "watched"))
    change = {"status": {"observedGeneration": 1}}
    refused = kube.acting_as("alice", ADMIN).patch(f"{APIS}/{namespace}/{plural}/watched/status", change)
    assert (refused.code, STATUS_REFUSED in refused.message) == (403, True)


@pytest.mark.parametrize("plural", SPECS)
def test_the_controller_writes_status_with_the_rights_it_is_given(kube: Kube, namespace: str, plural: str) -> None:
    kube.create(f"{APIS}/{namespace}/{plural}", manifest(plural, "kept"))
    change = {"status": {"observedGeneration": 1}}
    answer = kube.acting_as(CONTROLLER).patch(f"{APIS}/{namespace}/{plural}/kept/status", change)
    assert answer.code == 200, answer.message


@pytest.mark.parametrize("plural", SPECS)
def test_the_gateway_writes_its_part_of_status(kube: Kube, namespace: str, plural: str) -> None:
    kube.create(f"{APIS}/{namespace}/{plural}", manifest(plural, "enforced"))
    change = {"status": {"observedGeneration": 1}}
    answer = kube.acting_as(GATEWAY).patch(f"{APIS}/{namespace}/{plural}/enforced/status", change)
    assert answer.code == 200, answer.message


@pytest.mark.parametrize("account", [CONTROLLER, GATEWAY])
@pytest.mark.parametrize("plural", SPECS)
def test_neither_account_changes_what_people_asked_for(kube: Kube, namespace: str, plural: str, account: str) -> None:
    kube.create(f"{APIS}/{namespace}/{plural}", manifest(plural, "asked"))
    change = {"metadata": {"labels": {"a": "b"}}}
    assert kube.acting_as(account).patch(f"{APIS}/{namespace}/{plural}/asked", change).code == 403


def test_a_tenant_makes_no_floor_for_others(kube: Kube, namespace: str) -> None:
    floor = manifest("policies", "floor", namespaceSelector={"team": "payments"})
    refused = kube.acting_as("alice", ADMIN).create(f"{APIS}/{namespace}/policies", floor)
    wanted = "spec.namespaceSelector is for policies of namespace remit-system only: the platform's floor"
    assert (refused.code, wanted in refused.message) == (403, True)


def test_a_policy_does_not_become_a_floor_later(kube: Kube, namespace: str) -> None:
    kube.create(f"{APIS}/{namespace}/policies", manifest("policies", "plain"))
    change: dict[str, Any] = {"spec": {"namespaceSelector": {}}}
    assert kube.acting_as("alice", ADMIN).patch(f"{APIS}/{namespace}/policies/plain", change).code == 403


def test_the_platform_makes_a_floor(kube: Kube) -> None:
    floor = manifest("policies", "tested-floor", namespaceSelector={"team": "nobody-has-this-label"})
    made = kube.send("POST", f"{APIS}/remit-system/policies?dryRun=All", floor)
    assert made.code == 201, made.message
