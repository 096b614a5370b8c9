"""Authority taken back from agents at work on a real cluster: calls end, then the run, then its pod; all is proven."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from typer.testing import CliRunner

from remit.api.meta import API_VERSION
from remit.api.names import INSTALL_NAMESPACE, SIDECAR_PORT
from remit.cli.demo.stage import CORE, SceneError, Stage
from remit.cli.evidence import EvidenceError, fetch_export, read_export, verifier_key, verify_export
from remit.cli.revoke import app as revoking

LOOP = f"""
import json, time, urllib.request
body = {{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": "look", "arguments": {{}}, "_meta": {{
    "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {{}}}}}}}}
headers = {{"Content-Type": "application/json", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
    "Mcp-Name": "look"}}
number = 0
while True:
    number += 1
    body["params"]["_meta"]["remit.dev/call-id"] = str(number)
    sent = json.dumps(body).encode()
    pause = 0.2
    try:
        asked = urllib.request.Request("http://127.0.0.1:{SIDECAR_PORT}/mcp", sent, headers)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            pause = 2 if answer.headers.get("Remit-Reason") else 0.2
            answer.read()
    except OSError:
        pass
    time.sleep(pause)
"""
PLENTY = 1_000_000
Change = Callable[[Stage, str], object]


def an_object(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }


def an_agency(stage: Stage, namespace: str) -> list[dict[str, Any]]:
    """An agent that calls a tool all the time, by its own means; too many refusals would end its run."""
    container = {"image": stage.images["harness"], "command": ["/usr/bin/python3.11", "-c", LOOP]}
    agent = {
        "owner": "e2e@example.com",
        "purposes": ["test"],
        "lifecycle": "Active",
        "runtime": {"container": container},
        "instructions": {"inline": "Call."},
        "model": {"grant": "model", "name": "none"},
    }
    given = {"agents": {"names": ["caller"]}, "purposes": ["test"], "suspended": False}
    tool = {"name": "look", "risk": "ReadOnly", "inputSchema": {"type": "object"}, "constraints": []}
    bank = {"mcp": {"url": f"http://core-banking.{CORE}.svc:8000/mcp"}}
    priced = {"name": "none", "inputMicroUSDPerMillionTokens": 1, "outputMicroUSDPerMillionTokens": 1}
    model = {"model": {"api": "OpenAI", "baseURL": f"http://model.{CORE}.svc:8001/v1", "models": [priced]}}
    rule = {"name": "all", "tools": ["*"], "risks": ["Any"], "when": "true", "effect": "Allow", "message": "go on"}
    budget = {"per": "Run", "costMicroUSD": PLENTY, "tokens": PLENTY, "toolCalls": PLENTY, "wallClockSeconds": 3600}
    return [
        an_object("ToolGrant", namespace, "tools", given | {"upstream": bank, "tools": [tool]}),
        an_object("ToolGrant", namespace, "model", given | {"upstream": model}),
        an_object("Policy", namespace, "rules", {"rules": [rule], "budgets": [budget], "sandbox": {"images": "Tag"}}),
        an_object("Agent", namespace, "caller", agent),
    ]


@pytest.fixture(scope="module")
def namespace(stage: Stage) -> Iterator[str]:
    """A namespace of the module's own."""
    name = f"revoked-{token_hex(3)}"
    stage.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    yield name
    stage.kubectl("delete", "namespace", name, "--wait=false")


def at_work(stage: Stage, namespace: str) -> str:
    """Start a run, and wait until it calls."""
    stage.apply(an_agency(stage, namespace))
    name = f"caller-{token_hex(3)}"
    stage.apply([an_object("AgentRun", namespace, name, {"agent": "caller", "purpose": "test", "input": {}})])
    stage.until(lambda: kinds(stage, namespace, name), lambda seen: seen.count("outcome") > 1, f"{name} calls")
    return name


def kinds(stage: Stage, namespace: str, run: str) -> list[str]:
    """Return the kinds of the run's records."""
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder, "export")
        try:
            fetch_export(stage.kubeconfig, namespace, run, export, kubectl=stage.kubectl_path)
        except EvidenceError as error:
            raise SceneError(f"no evidence of {run} yet: {error}") from error
        read = [json.loads(path.read_bytes()) for path in sorted(export.glob("entries/*.json"))]
    return [each["predicateType"].split("/")[-2] for each in read]


def patched(kind: str, name: str, spec: dict[str, Any]) -> Change:
    def change(stage: Stage, namespace: str) -> None:
        stage.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps({"spec": spec}))

    return change


def deleted(kind: str, name: str) -> Change:
    return lambda stage, namespace: stage.kubectl("delete", kind, name, "-n", namespace)


def remit(stage: Stage, *arguments: str) -> str:
    """Run the command line as an administrator does; it must succeed."""
    where = ("--kubeconfig", str(stage.kubeconfig), "--kubectl", stage.kubectl_path)
    done = CliRunner().invoke(revoking, [*arguments, *where])
    assert done.exit_code == 0, done.output
    return done.output


WAYS: dict[str, Change] = {
    "agent suspended": patched("agent", "caller", {"lifecycle": "Suspended"}),
    "agent deleted": deleted("agent", "caller"),
    "the model's grant suspended": patched("toolgrant", "model", {"suspended": True}),
    "policy deleted": deleted("policy", "rules"),
    "namespace revoked": lambda stage, namespace: remit(stage, "revoke", namespace, "--reason", "an exercise"),
    "everything revoked": lambda stage, _namespace: remit(stage, "revoke", "--all", "--reason", "an exercise"),
}


@pytest.fixture
def reinstated(stage: Stage, namespace: str) -> Iterator[None]:
    """Leaves nothing revoked behind."""
    yield
    remit(stage, "reinstate", namespace)
    remit(stage, "reinstate", "--all")


@pytest.mark.usefixtures("reinstated")
@pytest.mark.parametrize("change", WAYS.values(), ids=WAYS)
def test_what_is_taken_back_ends_the_run_and_its_pod(stage: Stage, namespace: str, change: Change) -> None:
    run = at_work(stage, namespace)
    change(stage, namespace)
    status = ended(stage, namespace, run)
    assert status["reason"] == "Revoked"
    gone(stage, namespace, status["pod"]["name"])
    proven(stage, namespace, run)


def test_a_run_that_is_deleted_leaves_no_pod(stage: Stage, namespace: str) -> None:
    run = at_work(stage, namespace)
    pod = stage.get("agentrun", run, namespace)["status"]["pod"]["name"]
    stage.kubectl("delete", "agentrun", run, "-n", namespace)
    gone(stage, namespace, pod)


@pytest.mark.usefixtures("reinstated")
def test_with_the_controller_down_calls_end_at_once_and_the_pod_when_it_is_back(stage: Stage, namespace: str) -> None:
    run = at_work(stage, namespace)
    before_all = scaled(stage, 0)
    try:
        said = remit(stage, "revoke", namespace, "--reason", "an exercise")
        assert "of the evidence log" in said
        before = kinds(stage, namespace, run).count("intent")
        refused = stage.until(
            lambda: kinds(stage, namespace, run), lambda seen: seen.count("denial") > 1, "its calls are refused"
        )
        assert refused.count("intent") == before
        assert stage.get("agentrun", run, namespace)["status"]["reason"] == "Running"
    finally:
        scaled(stage, before_all)
    status = ended(stage, namespace, run)
    assert status["reason"] == "Revoked"
    gone(stage, namespace, status["pod"]["name"])
    proven(stage, namespace, run)


def scaled(stage: Stage, replicas: int) -> int:
    """Have so many controllers, and wait until there are; return how many there were."""
    where = ("-n", INSTALL_NAMESPACE)
    before = int(stage.get("deployment", "remit-controller", INSTALL_NAMESPACE)["spec"]["replicas"])
    stage.kubectl("scale", "deployment", "remit-controller", *where, f"--replicas={replicas}")
    labels = ("-l", "app.kubernetes.io/name=remit-controller", "-o", "name")
    stage.until(
        lambda: stage.kubectl("get", "pods", *where, *labels).split(),
        lambda seen: len(seen) == replicas,
        f"{replicas} controllers",
    )
    return before


def ended(stage: Stage, namespace: str, run: str) -> dict[str, Any]:
    """Wait until the run has ended, and its evidence is closed."""
    return stage.until(
        lambda: dict(stage.get("agentrun", run, namespace).get("status", {})),
        lambda seen: "finishedAt" in seen and "evidence" in seen,
        f"{run} has ended",
    )


def gone(stage: Stage, namespace: str, pod: str) -> None:
    """Wait until the pod is gone."""

    def is_gone() -> bool:
        try:
            stage.get("pod", pod, namespace)
        except SceneError as error:
            return "NotFound" in str(error)
        return False

    stage.until(is_gone, bool, f"{pod} is gone")


def proven(stage: Stage, namespace: str, run: str) -> None:
    """Verify the run's evidence: nothing was let through under what an acknowledgement had replaced."""
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder, "export")
        fetch_export(stage.kubeconfig, namespace, run, export, kubectl=stage.kubectl_path)
        verdict = verify_export(read_export(export), verifier_key(stage.kubeconfig, stage.kubectl_path))
    assert verdict.ok, verdict.summary
    assert verdict.report.acknowledged > 0
