"""A run that GitOps deletes and applies again does not execute again: on a real cluster, with a real bank."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import yaml

from remit.api.names import INSTALL_NAMESPACE
from remit.cli.demo.records import calls_of
from remit.cli.demo.stage import BANK, Stage

WRITES = ["open_dispute", "issue_provisional_credit", "send_letter"]
NUMBER = "900160"
"""One of the bank's generated accounts, which no other test works on."""


def a_dispute(stage: Stage) -> dict[str, Any]:
    """Return the example's dispute on an account of its own, under a name that the ledger does not know."""
    run: dict[str, Any] = yaml.safe_load((stage.example / "runs" / "dispute-4711.yaml").read_text())
    run["metadata"]["name"] = f"twice-{token_hex(3)}"
    run["spec"] |= {"agent": "dispute-crasher", "deadlineSeconds": 300}
    run["spec"]["input"] |= {"account": f"ACC-{NUMBER}", "transaction_id": f"TXN-{NUMBER}"}
    return run


def applied(stage: Stage) -> list[str]:
    """Return the writes that had an effect at the bank."""
    return [row["tool"] for row in stage.bank_effects(f"ACC-{NUMBER}")["writes"] if row["outcome"] == "applied"]


def gone(stage: Stage, run: dict[str, Any]) -> str:
    """Delete a run and return its UID."""
    name = run["metadata"]["name"]
    uid = str(stage.get("agentrun", name)["metadata"]["uid"])
    stage.kubectl("delete", "agentrun", name, "-n", BANK, "--wait=true")
    return uid


def recorded(stage: Stage, run: dict[str, Any], uid: str, reason: str) -> dict[str, Any]:
    """Apply the run again; return its status once it shows what the run with that UID came to."""
    stage.apply([run])
    status = stage.finished(run["metadata"]["name"])
    assert status["reason"] == reason, status
    assert status["outcome"]["recordedFrom"] == uid
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert f"recorded: executed by run UID {uid}, finished 20" in ready["message"]
    return status


def test_a_run_that_is_applied_again_shows_its_outcome_and_another_attempt_executes(stage: Stage) -> None:
    run = a_dispute(stage)
    name = run["metadata"]["name"]
    stage.apply([run])
    first = stage.finished(name)
    assert first["reason"] == "Succeeded", first
    assert applied(stage) == WRITES

    uid = gone(stage, run)
    again = recorded(stage, run, uid, "Succeeded")
    assert applied(stage) == WRITES
    for part in ("usage", "result"):
        assert again[part] == first[part]
    stage.until(
        lambda: stage.kubectl("get", "pods", "-n", BANK, "-l", f"remit.dev/run={name}", "-o", "name"),
        lambda pods: not pods,
        "no pod of the copy is left",
    )

    stage.kubectl("rollout", "restart", "-n", INSTALL_NAMESPACE, "deployment/remit-gateway")
    stage.kubectl("rollout", "status", "-n", INSTALL_NAMESPACE, "deployment/remit-gateway", "--timeout=120s")
    gone(stage, run)
    recorded(stage, run, uid, "Succeeded")
    assert applied(stage) == WRITES

    gone(stage, run)
    stage.apply([{**run, "spec": {**run["spec"], "attempt": 2}}])
    other = stage.finished(name)
    assert "recordedFrom" not in other.get("outcome", {})
    assert other["usage"]["toolCalls"] > 0


def test_a_run_that_was_deleted_under_way_is_over(stage: Stage) -> None:
    run = a_dispute(stage)
    name = run["metadata"]["name"]
    run["spec"] |= {"agent": "dispute-plodder", "input": {**run["spec"]["input"], "account": "ACC-4715"}}
    stage.apply([run])
    stage.until(lambda: calls_of(stage, name), bool, "it works")
    uid = gone(stage, run)
    status = recorded(stage, run, uid, "Cancelled")
    assert status["outcome"]["message"].endswith("the AgentRun was deleted")
