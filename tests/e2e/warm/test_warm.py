"""On the real cluster, runs start out of a warm pool: the whole dispute, governed and proven like any other."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from remit.api.names import INSTALL_NAMESPACE, LABEL_WARM
from remit.cli.demo.scenes import start
from remit.cli.demo.stage import BANK, Stage
from remit.cli.evidence import fetch_export, read_export, verifier_key, verify_export

AGENT = "dispute-warm"
ACCOUNTS = ("900170", "900171")
"""Of the bank's generated accounts, those that no other test works on."""


def warm_agent(stage: Stage) -> dict[str, Any]:
    """Return the example's agent under a name of its own, with a pool of two."""
    found = yaml.safe_load_all((stage.example / "agents.yaml").read_text())
    agent: dict[str, Any] = next(each for each in found if each["metadata"]["name"] == "dispute-resolver")
    agent["metadata"]["name"] = AGENT
    agent["spec"]["warm"] = {"replicas": 2}
    return agent


def a_run(stage: Stage, number: str) -> dict[str, Any]:
    """Return a dispute of one account for the warm agent."""
    run: dict[str, Any] = yaml.safe_load((stage.example / "runs" / "dispute-4711.yaml").read_text())
    run["metadata"]["name"] = f"warm-{number}"
    run["spec"]["agent"] = AGENT
    run["spec"]["input"] |= {"account": f"ACC-{number}", "transaction_id": f"TXN-{number}"}
    return run


def standing(stage: Stage) -> list[dict[str, Any]]:
    """Return the pods that stand ready."""
    listed = stage.kubectl("get", "pods", "-n", BANK, "-l", f"{LABEL_WARM},remit.dev/agent={AGENT}", "-o", "json")
    found: list[dict[str, Any]] = json.loads(listed)["items"]
    return [pod for pod in found if any(is_ready(each) for each in pod["status"].get("conditions", []))]


def is_ready(condition: dict[str, Any]) -> bool:
    return bool(condition["type"] == "Ready" and condition["status"] == "True")


def filled(stage: Stage) -> list[dict[str, Any]]:
    """Wait until two pods stand ready, and return them."""
    return stage.until(lambda: standing(stage), lambda pods: len(pods) >= 2, "two pods stand ready", 120)


@pytest.fixture
def pool(stage: Stage) -> Stage:
    """The stage, with a warm agent on it, whatever another test made of that."""
    stage.apply([warm_agent(stage)])
    stage.kubectl("wait", "-n", BANK, "agent", AGENT, "--for=condition=Ready", "--timeout=60s")
    filled(stage)
    return stage


@pytest.mark.timeout(300)
def test_a_run_out_of_the_pool_is_resolved_and_proven_and_its_pod_is_never_used_again(pool: Stage) -> None:
    before = {pod["metadata"]["uid"] for pod in filled(pool)}
    run = a_run(pool, ACCOUNTS[0])
    start(pool, run)
    status = pool.finished(run["metadata"]["name"])
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder, "export")
        fetch_export(pool.kubeconfig, BANK, run["metadata"]["name"], export, kubectl=pool.kubectl_path)
        verdict = verify_export(read_export(export), verifier_key(pool.kubeconfig, pool.kubectl_path))

    assert status["reason"] == "Succeeded"
    assert status["pod"]["uid"] in before
    assert verdict.ok, verdict.summary
    assert status["pod"]["uid"] not in {pod["metadata"]["uid"] for pod in filled(pool)}


@pytest.mark.timeout(300)
def test_a_pod_waits_through_a_new_gateway_and_serves_its_run_then(pool: Stage) -> None:
    before = {pod["metadata"]["uid"] for pod in filled(pool)}
    everyone = ("-n", INSTALL_NAMESPACE, "-l", "app.kubernetes.io/name=remit-gateway")
    pool.kubectl("delete", "pods", *everyone, "--grace-period=0", "--force")
    pool.kubectl("rollout", "status", "-n", INSTALL_NAMESPACE, "deployment/remit-gateway", "--timeout=120s")
    run = a_run(pool, ACCOUNTS[1])
    start(pool, run)

    status = pool.finished(run["metadata"]["name"], within_seconds=200)
    assert status["reason"] == "Succeeded"
    assert status["pod"]["uid"] in before


@pytest.mark.timeout(200)
def test_a_suspended_agent_has_no_pods_standing_and_its_pool_is_counted(pool: Stage) -> None:
    filled(pool)
    pool.until(lambda: pool.get("agent", AGENT)["status"].get("warmPods"), lambda seen: seen == 2, "both are counted")
    pool.kubectl("patch", "agent", "-n", BANK, AGENT, "--type=merge", "-p", '{"spec": {"lifecycle": "Suspended"}}')

    pool.until(lambda: standing(pool), lambda pods: pods == [], "nothing stands for a suspended agent")
