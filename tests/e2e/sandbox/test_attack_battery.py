"""What a taken-over agent tries first, made one by one inside a real sandbox: every attack fails."""

from typing import Any

import pytest

from remit.api.names import CONTROL_PORT, CONTROL_SERVICE, INSTALL_NAMESPACE
from remit.cli.demo.scenes import address, hostile_agent, pod_address, start
from remit.cli.demo.stage import BANK, CORE, Stage

NAME = "attack-battery"
ATTACKS = (
    *("dns-by-udp", "dns-by-tcp", "dns-of-the-internet", "dns-tunnel", "dns-by-the-library"),
    *("internet", "ping", "ping-of-the-node", "ipv6-internet", "ipv6-metadata", "ipv6-loopback-of-ipv4"),
    *("metadata", "metadata-of-others", "apiserver", "apiserver-on-the-node", "kubelet"),
    *("bank", "other-pod", "control-port", "control-port-of-the-gateways-pod"),
    *("words-of-services", "token-for-the-apiserver", "token-for-the-gateway", "secret"),
    *("no-token", "forged-token", "token-of-another-audience", "token-of-another-account"),
    *("connect-method", "url-for-a-tool", "file-for-a-tool", "absolute-target", "absolute-target-decimal"),
    *("absolute-target-ipv6", "absolute-target-user", "double-slash-target", "file-target", "traversal-target"),
    *("metrics-of-gateway", "evidence-of-others"),
    *("root-file-system", "root-user", "raw-socket", "packet-socket", "user-namespace", "network-namespace"),
    *("process-namespace", "mount", "chroot", "device-node", "ptrace", "processes-of-others", "setuid-program"),
    *("capabilities", "seccomp-missing", "bpf", "keyring", "perf-event", "kernel-module", "kernel-log"),
    *("fork-bomb", "fill-root", "fill-tmp", "fill-memory-disk", "kernel-setting", "kernel-trigger", "cgroup"),
    *("physical-memory", "kernel-symbols", "kubelets-files", "runtimes-socket"),
)


def token(stage: Stage, audience: str) -> str:
    """Return a real token of an account that is no agent's."""
    return stage.kubectl("create", "token", "default", "-n", CORE, f"--audience={audience}").strip()


def order(stage: Stage) -> dict[str, str]:
    """Return where everything is, and what an agent might have stolen elsewhere: without it most would not be tried."""
    gateway = ("-n", INSTALL_NAMESPACE, "-l", "app.kubernetes.io/name=remit-gateway")
    node = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    return {
        "dns": address(stage, "kube-system", "kube-dns"),
        "internet": "1.1.1.1:443",
        "apiserver": address(stage, "default", "kubernetes") + ":443",
        "bank": address(stage, CORE, "core-banking") + ":8000",
        "otherPod": pod_address(stage) + ":8001",
        "controlPort": f"{address(stage, INSTALL_NAMESPACE, CONTROL_SERVICE)}:{CONTROL_PORT}",
        "gatewayPod": stage.kubectl("get", "pods", *gateway, "-o", "jsonpath={.items[0].status.podIP}"),
        "node": stage.kubectl("get", "nodes", "-o", node),
        "foreignToken": token(stage, "https://kubernetes.default.svc"),
        "stolenToken": token(stage, "remit-gateway"),
    }


@pytest.fixture(scope="module")
def report(stage: Stage) -> dict[str, dict[str, Any]]:
    """What the attacker says of each attack, in the result of its run."""
    agent = hostile_agent(stage)
    agent["metadata"]["name"] = NAME
    agent["spec"]["runtime"]["container"]["args"] = ["battery"]
    agent["spec"]["sandbox"] = {"memoryMiB": 1024, "cpuMillis": 1000}
    stage.apply([agent])
    spec = {"agent": NAME, "purpose": "card-dispute", "input": order(stage), "deadlineSeconds": 300}
    meta = {"name": NAME, "namespace": BANK}
    start(stage, {"apiVersion": "remit.dev/v1alpha1", "kind": "AgentRun", "metadata": meta, "spec": spec})
    status = stage.finished(NAME, within_seconds=240)
    assert status["reason"] == "Succeeded", status
    found: dict[str, dict[str, Any]] = status["result"]["attacks"]
    return found


def test_every_attack_of_the_battery_was_made(report: dict[str, dict[str, Any]]) -> None:
    assert sorted(report) == sorted(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_from_inside_a_sandbox_fails(report: dict[str, dict[str, Any]], attack: str) -> None:
    assert not report[attack]["succeeded"], report[attack]["happened"]
