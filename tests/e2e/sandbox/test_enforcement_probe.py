"""On a real network: it is proven that sandboxes are shut in, and where they are not no run starts."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from remit.api.names import INSTALL_NAMESPACE, PROBE_RECORD
from remit.cli.demo.scenes import start
from remit.cli.demo.stage import BANK, Stage

CONTROLLER = "deployment/remit-controller"
AGENT = "dispute-resolver"
OPEN: dict[str, Any] = {
    "apiVersion": "crd.projectcalico.org/v1",
    "kind": "GlobalNetworkPolicy",
    "metadata": {"name": "somebody-opens-everything"},
    "spec": {
        "order": 1,
        "selector": "has(remit.dev/sandbox)",
        "types": ["Ingress", "Egress"],
        "ingress": [{"action": "Allow"}],
        "egress": [{"action": "Allow"}],
    },
}
"""To the network plugin it comes before every NetworkPolicy: these are as good as ignored."""


def proof(stage: Stage) -> dict[str, Any]:
    """Return what the probe last found."""
    found: dict[str, Any] = json.loads(stage.get("configmap", PROBE_RECORD, INSTALL_NAMESPACE)["data"]["proof"])
    return found


def ready(stage: Stage, kind: str, name: str) -> dict[str, Any]:
    """Return the leading condition."""
    conditions = stage.get(kind, name).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {})


def set_seconds(stage: Stage, seconds: str) -> None:
    """Have the controllers probe so often; a minus takes the setting away."""
    stage.kubectl("set", "env", CONTROLLER, "-n", INSTALL_NAMESPACE, f"REMIT_PROBE_SECONDS{seconds}")
    stage.kubectl("rollout", "status", CONTROLLER, "-n", INSTALL_NAMESPACE, "--timeout=180s")


@pytest.fixture
def often(stage: Stage) -> Iterator[Stage]:
    """A stage whose controllers probe three times a minute."""
    set_seconds(stage, "=20")
    yield stage
    set_seconds(stage, "-")


@pytest.fixture
def opened(often: Stage) -> Iterator[Stage]:
    """A network that lets sandboxes out, found out."""
    often.until(lambda: proof(often), lambda found: found["enforced"] is True, "it is proven at first", 120)
    often.apply([OPEN])
    often.until(lambda: proof(often), lambda found: found["enforced"] is False, "the probe got out", 120)
    yield often
    often.kubectl(
        "delete", "globalnetworkpolicies.crd.projectcalico.org", OPEN["metadata"]["name"], "--ignore-not-found"
    )


def test_the_embedded_network_shuts_sandboxes_in_and_says_so(stage: Stage) -> None:
    found = stage.until(lambda: proof(stage), lambda seen: seen["enforced"] is not None, "the network is probed", 120)
    assert (found["enforced"], found["nodeReachable"]) == (True, False), found["why"]
    stage.kubectl("wait", "-n", BANK, f"agent/{AGENT}", "--for=condition=NodeReachable=False", "--timeout=30s")


@pytest.mark.timeout(500)
def test_where_the_network_lets_out_no_run_starts_until_it_no_longer_does(opened: Stage) -> None:
    stage, name = opened, "after-the-hole"
    run: dict[str, Any] = yaml.safe_load((stage.example / "runs" / "dispute-4711.yaml").read_text())
    run["metadata"]["name"] = name
    run["spec"]["input"] |= {"account": "ACC-900180", "transaction_id": "TXN-900180"}
    stage.until(
        lambda: ready(stage, "agent", AGENT),
        lambda seen: (seen["status"], seen["reason"]) == ("False", "NetworkPolicyNotEnforced"),
        "the agent is Stalled",
    )
    start(stage, run)
    waiting = stage.until(lambda: ready(stage, "agentrun", name), bool, "the run was looked at")
    assert "NetworkPolicyNotEnforced" in waiting["message"], waiting
    assert stage.kubectl("get", "pods", "-n", BANK, "-l", f"remit.dev/run={name}", "-o", "name") == ""
    stage.kubectl("delete", "globalnetworkpolicies.crd.projectcalico.org", OPEN["metadata"]["name"])
    assert stage.finished(name, within_seconds=240)["reason"] == "Succeeded"
