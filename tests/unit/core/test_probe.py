"""What the enforcement probe's findings prove, and what waits for them."""

import json
from typing import Any

import pytest

from remit.api.reasons import ObjectReason
from remit.core.children import SandboxSettings
from remit.core.probe import (
    Proof,
    agent_objection,
    from_record,
    holds_back,
    last_words,
    name_servers,
    node_finding,
    probe_pod,
    proof_of,
    protection_of_probe,
    to_record,
)

NOW = 1_000_000.0
CLOSED = Proof(NOW, enforced=True, node_reachable=False, why="8 ways out are closed")
OPEN = Proof(NOW, enforced=False, node_reachable=True, why="reached dns 10.96.0.10:53")
RECORD: dict[str, Any] = {"metadata": {"name": "remit-enforcement", "namespace": "remit-system", "uid": "u-1"}}


def findings(**fields: Any) -> str:
    """Return the probe's last words."""
    return json.dumps({"control": True, "tried": 8, "reached": [], "nodesTried": 3, "node": [], **fields})


@pytest.mark.parametrize(
    ("message", "enforced", "node"),
    [
        (findings(), True, False),
        (findings(node=["10.0.0.1:10250"]), True, True),
        (findings(nodesTried=0), True, None),
        (findings(reached=["dns 10.96.0.10:53"]), False, False),
        (findings(reached=["apiserver 10.96.0.1:443"], control=False), False, False),
        (findings(control=False), None, False),
        ("", None, None),
        ("[]", None, None),
        ('{"control": true}', None, None),
    ],
    ids=["closed", "node", "no-node-known", "open", "open-without-gateway", "dead-network", "none", "list", "half"],
)
def test_what_findings_prove(message: str, enforced: bool | None, node: bool | None) -> None:  # noqa: FBT001
    found = proof_of(message, NOW)
    assert (found.enforced, found.node_reachable, found.at) == (enforced, node, NOW)


def test_nothing_starts_until_it_is_proven_and_what_waits_says_why() -> None:
    assert holds_back(CLOSED, NOW + 1800, 1800) == ""
    waits = [
        holds_back(None, NOW, 1800),
        holds_back(proof_of("", NOW), NOW, 1800),
        holds_back(OPEN, NOW, 1800),
        holds_back(CLOSED, NOW + 1801, 1800),
    ]
    assert all(text.startswith("NetworkPolicyNotEnforced: ") for text in waits)
    assert "reached dns 10.96.0.10:53" in waits[2]


@pytest.mark.parametrize(
    ("proof", "strict", "reason"),
    [
        (None, "bank/strict", None),
        (CLOSED, "bank/strict", None),
        (Proof(NOW, enforced=True, node_reachable=True, why=""), "", None),
        (Proof(NOW, enforced=True, node_reachable=True, why=""), "bank/strict", ObjectReason.NODE_REACHABLE),
        (Proof(NOW, enforced=True, node_reachable=None, why=""), "bank/strict", ObjectReason.NODE_REACHABLE),
        (OPEN, "", ObjectReason.NETWORK_POLICY_NOT_ENFORCED),
    ],
    ids=["unknown", "closed", "node-and-nobody-minds", "node-refused", "node-unknown-refused", "open"],
)
def test_an_agent_is_told_what_its_sandboxes_reach(proof: Proof | None, strict: str, reason: Any) -> None:
    objection = agent_objection(proof, strict)
    assert (objection[0] if objection else None) is reason


def test_the_node_is_a_condition_of_its_own() -> None:
    found = [node_finding(proof) for proof in (None, CLOSED, OPEN)]
    assert [entry and entry[:2] for entry in found] == [
        None,
        ("False", ObjectReason.NODE_CLOSED),
        ("True", ObjectReason.NODE_REACHABLE),
    ]


@pytest.mark.parametrize("proof", [CLOSED, OPEN, proof_of("", NOW)])
def test_a_record_keeps_the_proof(proof: Proof) -> None:
    assert from_record(to_record("remit-system", proof)) == proof


@pytest.mark.parametrize("text", ["", "{}", "7", '{"enforced": 5, "nodeReachable": null, "at": 1, "why": ""}', None])
def test_what_cannot_be_read_proves_nothing(text: str | None) -> None:
    assert from_record(None if text is None else {"data": {"proof": text}}) is None


def test_the_probe_is_a_sandbox_like_any_other() -> None:
    pod = probe_pod(RECORD, SandboxSettings("harness:1", "10.96.0.8"), {"dns": ["10.96.0.10:53"]})
    deny, policy, account = protection_of_probe(RECORD)
    labels = pod["metadata"]["labels"]
    assert deny["metadata"]["name"] == "remit-sandbox-deny"
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert pod["spec"]["serviceAccountName"] == account["metadata"]["name"]
    assert {each["metadata"]["ownerReferences"][0]["uid"] for each in (pod, policy, account)} == {"u-1"}
    assert pod["spec"]["containers"][0]["args"] == ["probe", '{"dns": ["10.96.0.10:53"]}']


def test_last_words_are_those_of_a_pod_that_ended() -> None:
    ended = {"containerStatuses": [{"state": {"terminated": {"message": "found"}}}]}
    assert last_words({"status": {"phase": "Running"}}) is None
    assert last_words({"status": {"phase": "Succeeded", **ended}}) == "found"
    assert last_words({"status": {"phase": "Failed", "containerStatuses": [{"state": {}}]}}) == ""


def test_name_servers_are_those_of_the_pod_that_asks() -> None:
    text = "search svc.cluster.local\nnameserver 10.96.0.10\nnameserver fd00::a%eth0\nnameserver\n"
    assert name_servers(text) == ["10.96.0.10:53", "[fd00::a]:53"]
