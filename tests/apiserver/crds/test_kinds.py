"""What kubectl and clients see of the kinds: columns, selectable fields, defaults, merging by server-side apply."""

from typing import Any

import pytest
from tests.support.kube import Kube

from remit.api.kinds import AGENT, AGENT_RUN, KINDS, POLICY, TOOL_GRANT, Kind
from remit.api.reasons import ObjectReason, RunReason
from remit.cluster import Cluster
from remit.core.conditions import run_conditions

APIS = "/apis/remit.dev/v1alpha1/namespaces"
CONTROLLER = "system:serviceaccount:remit-system:remit-controller"
TABLE_COLUMNS = 80
SPECS: dict[str, dict[str, Any]] = {
    AGENT.name: {
        "owner": "card-disputes@bank.example",
        "purposes": ["card-dispute"],
        "lifecycle": "Suspended",
        "runtime": {"harness": {}},
        "instructions": {"inline": "You resolve card disputes."},
        "model": {"grant": "provider", "name": "gpt-5"},
    },
    TOOL_GRANT.name: {
        "agents": {"names": ["dispute-resolver"]},
        "purposes": ["card-dispute"],
        "notAfter": "2027-01-31T00:00:00Z",
        "upstream": {"mcp": {"url": "https://bank.example/mcp"}},
        "tools": [{"name": "get_account", "risk": "ReadOnly", "inputSchema": {"type": "object"}, "constraints": []}],
    },
    POLICY.name: {
        "rules": [],
        "budgets": [{"per": "Run", "costMicroUSD": 100000, "tokens": 10000, "toolCalls": 50, "wallClockSeconds": 600}],
    },
    AGENT_RUN.name: {"agent": "dispute-resolver", "purpose": "card-dispute", "case": {"id": "DSP-1001"}},
}
NAMES = {AGENT_RUN.name: "dispute-4711"}
"""As in example 01; every other object is the agent's namesake."""
LONG_NAMES = {
    AGENT.name: "card-dispute-resolver-eu",
    TOOL_GRANT.name: "core-banking-eu",
    POLICY.name: "card-disputes-four-eyes",
    AGENT_RUN.name: "dispute-4711-attempt-2",
}
LONGEST_REASONS = {
    AGENT.name: ObjectReason.NETWORK_POLICY_NOT_ENFORCED,
    TOOL_GRANT.name: ObjectReason.SECRET_NOT_READABLE,
    POLICY.name: ObjectReason.NAMESPACE_SELECTOR_NOT_ALLOWED,
    AGENT_RUN.name: RunReason.DEADLINE_EXCEEDED,
}


def name_of(kind: Kind) -> str:
    """Return the name of the kind's stored object."""
    return NAMES.get(kind.name, "dispute-resolver")


def manifest(kind: Kind, name: str) -> dict[str, Any]:
    """Return a small object of the kind."""
    return {
        "apiVersion": "remit.dev/v1alpha1",
        "kind": kind.name,
        "metadata": {"name": name},
        "spec": SPECS[kind.name],
    }


@pytest.fixture(scope="module")
def stored(kube: Kube, namespace: str) -> str:
    """A namespace with one object of each kind."""
    for kind in KINDS:
        made = kube.create(f"{APIS}/{namespace}/{kind.plural}", manifest(kind, name_of(kind)))
        assert made.code == 201, made.message
    return namespace


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_object_that_nobody_saw_yet_is_not_current(kube: Kube, stored: str, kind: Kind) -> None:
    found = kube.get(f"{APIS}/{stored}/{kind.plural}/{name_of(kind)}").body
    assert found["status"]["observedGeneration"] == -1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_fit_a_terminal(kube: Kube, cluster: Cluster, stored: str, kind: Kind) -> None:
    ready = {
        "type": "Ready",
        "status": "Unknown",
        "reason": LONGEST_REASONS[kind.name],
        "message": "",
        "lastTransitionTime": "2026-11-21T00:00:00Z",
        "observedGeneration": 1,
    }
    status: dict[str, Any] = {"conditions": [ready, {**ready, "type": "Succeeded"}]}
    if kind is AGENT_RUN:
        status |= {"reason": ready["reason"], "usage": {"costMicroUSD": 1234567}}
    name = LONG_NAMES[kind.name]
    kube.create(f"{APIS}/{stored}/{kind.plural}", manifest(kind, name))
    path = f"{APIS}/{stored}/{kind.plural}/{name}/status"
    assert kube.acting_as(CONTROLLER).patch(path, {"status": status}).code == 200
    lines = cluster.kubectl("get", kind.short, "-n", stored).rstrip("\n").splitlines()
    assert [line for line in lines if len(line.rstrip()) > TABLE_COLUMNS] == []
    assert str(ready["reason"]) in "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_wide_columns_say_why_last_and_titles_are_one_word(cluster: Cluster, stored: str, kind: Kind) -> None:
    titles = cluster.kubectl("get", kind.short, "-n", stored, "-o", "wide").splitlines()[0].split()
    assert titles[1:] == [column.title for column in sorted(kind.columns, key=lambda column: column.wide)]
    assert titles[-1] == "MESSAGE"


def test_a_run_can_be_waited_for_whatever_comes_of_it(kube: Kube, cluster: Cluster, namespace: str) -> None:
    for reason in (RunReason.SUCCEEDED, RunReason.FAILED):
        name = f"awaited-{reason.lower()}"
        assert kube.create(f"{APIS}/{namespace}/agentruns", manifest(AGENT_RUN, name)).code == 201
        conditions = run_conditions(reason, "m", generation=1, now="2026-11-21T00:00:00Z", stopping=False)
        status = {"conditions": conditions, "observedGeneration": 1, "reason": str(reason)}
        path = f"{APIS}/{namespace}/agentruns/{name}/status"
        assert kube.acting_as(CONTROLLER).patch(path, {"status": status}).code == 200
        wait = ("wait", "--for=condition=Finished", "--timeout=5s", f"agrun/{name}", "-n", namespace)
        assert "condition met" in cluster.kubectl(*wait)


@pytest.mark.parametrize(
    ("kind", "selector"),
    [(kind, path) for kind in KINDS for path in kind.selectable],
    ids=lambda value: getattr(value, "name", value),
)
def test_fields_select(kube: Kube, stored: str, kind: Kind, selector: str) -> None:
    name, path = name_of(kind), f"{APIS}/{stored}/{kind.plural}"
    value: Any = kube.get(f"{path}/{name}").body
    for part in selector.strip(".").split("."):
        value = value[part]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    field = selector.strip(".")
    chosen = [kube.get(f"{path}?fieldSelector={field}{sign}%3D{text}").body["items"] for sign in ("", "!")]
    assert [[name == item["metadata"]["name"] for item in items].count(True) for items in chosen] == [1, 0]


def test_all_kinds_answer_to_the_category(cluster: Cluster, stored: str) -> None:
    names = cluster.kubectl("get", "remit", "-n", stored, "-o", "name").split()
    assert {*names} >= {f"{kind.name.lower()}.remit.dev/{name_of(kind)}" for kind in KINDS}


def test_two_appliers_share_the_tools_of_a_grant(kube: Kube, namespace: str) -> None:
    path = f"{APIS}/{namespace}/toolgrants/shared"
    mine = manifest(TOOL_GRANT, "shared")
    tool = SPECS[TOOL_GRANT.name]["tools"][0]
    theirs = {**mine, "spec": {"tools": [{**tool, "name": "list_transactions"}]}}
    for manager, body in (("platform", mine), ("bank", theirs)):
        answer = kube.send("PATCH", f"{path}?fieldManager={manager}", body, kind="application/apply-patch+yaml")
        assert answer.code in {200, 201}, answer.message
    tools = kube.get(path).body["spec"]["tools"]
    assert [found["name"] for found in tools] == ["get_account", "list_transactions"]


def test_gateway_and_controller_apply_their_own_fields_of_a_run(kube: Kube, namespace: str) -> None:
    made = kube.create(f"{APIS}/{namespace}/agentruns", manifest(AGENT_RUN, "two-writers"))
    assert made.code == 201, made.message
    path = f"{APIS}/{namespace}/agentruns/two-writers/status"
    head = {"apiVersion": "remit.dev/v1alpha1", "kind": "AgentRun", "metadata": {"name": "two-writers"}}
    for account, status in (
        ("remit-controller", {"reason": "Running", "observedGeneration": 1}),
        ("remit-gateway", {"step": 3, "usage": {"tokens": 12}}),
        ("remit-controller", {"reason": "Succeeded", "observedGeneration": 1}),
    ):
        answer = kube.acting_as(f"system:serviceaccount:remit-system:{account}").send(
            "PATCH", f"{path}?fieldManager={account}", {**head, "status": status}, kind="application/apply-patch+yaml"
        )
        assert answer.code == 200, answer.message
    status = kube.get(path).body["status"]
    assert (status["reason"], status["step"], status["usage"]["tokens"]) == ("Succeeded", 3, 12)
