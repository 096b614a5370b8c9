"""On the real cluster, a pod of ours is killed while an agent works: the work is done once, and proven."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from remit.api.names import INSTALL_NAMESPACE
from remit.cli.demo.scenes import start
from remit.cli.demo.stage import BANK, Stage
from remit.cli.evidence import fetch_export, read_export, verifier_key, verify_export

WRITES = ["open_dispute", "issue_provisional_credit", "send_letter"]
GENERATED = {"remit-gateway": "900150", "remit-controller": "900151"}
"""Which of the bank's generated accounts each trial works on."""


def a_crashing_run(stage: Stage, part: str) -> dict[str, Any]:
    """Return the example's dispute on an account that no other test touches."""
    run: dict[str, Any] = yaml.safe_load((stage.example / "runs" / "dispute-4711.yaml").read_text())
    run["metadata"]["name"] = f"killed-{part}"
    number = GENERATED[part]
    run["spec"] |= {"agent": "dispute-crasher", "deadlineSeconds": 300}
    run["spec"]["input"] |= {"account": f"ACC-{number}", "transaction_id": f"TXN-{number}"}
    return run


def kill(stage: Stage, part: str) -> None:
    """End the part's pod without a word."""
    everyone = ("-n", INSTALL_NAMESPACE, "-l", f"app.kubernetes.io/name={part}")
    stage.kubectl("delete", "pods", *everyone, "--grace-period=0", "--force")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", sorted(GENERATED))
def test_a_part_that_is_killed_under_way_costs_no_effect_and_no_proof(stage: Stage, part: str) -> None:
    run = a_crashing_run(stage, part)
    name = run["metadata"]["name"]
    start(stage, run)
    stage.until(lambda: stage.get("agentrun", name).get("status", {}), lambda seen: "pod" in seen, "the run has a pod")
    kill(stage, part)
    status = stage.finished(name, within_seconds=300)
    applied = [
        row["tool"]
        for row in stage.bank_effects(run["spec"]["input"]["account"])["writes"]
        if row["outcome"] == "applied"
    ]
    assert applied == WRITES[: len(applied)]
    assert status["reason"] == "Succeeded" or (
        status["reason"] == "OutcomeUnknown" and any(write in str(status["conditions"]) for write in WRITES)
    )
    assert (status["reason"] == "OutcomeUnknown") or applied == WRITES
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder, "export")
        fetch_export(stage.kubeconfig, BANK, name, export, kubectl=stage.kubectl_path)
        verdict = verify_export(read_export(export), verifier_key(stage.kubeconfig, stage.kubectl_path))
    assert verdict.ok, verdict.summary
