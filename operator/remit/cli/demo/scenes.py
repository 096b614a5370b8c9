"""The scenes. Each shows one thing and asserts it: a scene that only looked well would end the demo."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from remit.api.names import CONTROL_PORT, CONTROL_SERVICE, INSTALL_NAMESPACE
from remit.cli.demo.expected import check_run
from remit.cli.demo.records import calls_of
from remit.cli.demo.setting import pin_pulled, the_world_outside
from remit.cli.demo.stage import BANK, CORE, Stage, expect
from remit.cli.evidence import fetch_export, read_export, verifier_key, verify_export

Scene = Callable[[Stage], None]
HOSTILE = "hostile"


def a_dispute_is_resolved(stage: Stage) -> None:
    """A customer disputes a card payment; the agent reads, opens the dispute, credits, writes a letter."""
    begin(stage, "dispute-4711")
    status = stage.finished("dispute-4711")
    check_run(stage, "dispute-4711", status)
    usage = status["usage"]
    stage.say(
        f"Succeeded: {usage['toolCalls']} tool calls, {usage['tokens']} tokens, {usage['costMicroUSD']} micro-USD; "
        f"the bank's own database shows each effect once"
    )


def a_credit_above_the_limit_is_refused(stage: Stage) -> None:
    """The agent tries a credit above its limit; policy refuses, the agent hears why and carries on."""
    begin(stage, "dispute-overlimit")
    status = stage.finished("dispute-overlimit")
    check_run(stage, "dispute-overlimit", status)
    tell_refusals(stage, "dispute-overlimit")
    stage.say("the full credit never reached the bank; the agent credited what it may and asked for a review")


def malformed_arguments_are_refused(stage: Stage) -> None:
    """The agent gets the arguments wrong; the schema refuses, with a reason that lets it correct itself."""
    begin(stage, "dispute-malformed")
    check_run(stage, "dispute-malformed", stage.finished("dispute-malformed"))
    tell_refusals(stage, "dispute-malformed")
    stage.say("the schema refused, the agent corrected itself")


def a_budget_ends_a_run(stage: Stage) -> None:
    """The agent talks until its tokens are spent; a ring-fenced call is left for the hand-over."""
    begin(stage, "dispute-budget")
    status = stage.finished("dispute-budget")
    check_run(stage, "dispute-budget", status)
    limit = stage.get("agentrun", "dispute-budget")["spec"]["budget"]["tokens"]
    expect(status["usage"]["tokens"] <= limit, f"{status['usage']['tokens']} tokens spent of {limit}")
    expect(status.get("partial"), "no partial result was kept")
    stage.say(f"{status['usage']['tokens']} of {limit} tokens spent; handed over: {status['partial']}")


def a_grant_is_suspended_under_way(stage: Stage) -> None:
    """The bank takes the grant back while an agent works: its next call is refused, nothing else is needed."""
    begin(stage, "dispute-slow")
    stage.until(lambda: calls_of(stage, "dispute-slow"), lambda calls: len(calls) > 1, "the agent works")
    suspend(stage, "core-banking", suspended=True)
    try:
        status = stage.finished("dispute-slow")
    finally:
        suspend(stage, "core-banking", suspended=False)
    refused = [call for call in calls_of(stage, "dispute-slow") if call.reason == "GrantSuspended"]
    expect(refused, f"no call was refused as GrantSuspended; the run ended as {status['reason']}")
    stage.kubectl("wait", "-n", BANK, "toolgrant/core-banking", "--for=condition=Ready", "--timeout=30s")
    stage.say(f"refused: {refused[0].message}; the run ended as {status['reason']}")


def a_hostile_image_stays_in(stage: Stage) -> None:
    """An image that tries everything: DNS, internet, apiserver, bank, another pod, secrets, root."""
    with the_world_outside(pin_pulled(stage, "hostile")) as watched:
        watched.apply([hostile_agent(watched)])
        start(watched, hostile_run(watched))
        stage.say("the image attacks; on the network it gets no answer at all, so each attempt takes its timeout")
        if watched.outside:
            expect(
                reaches(watched, watched.outside), f"the control failed: an ordinary pod cannot reach {watched.outside}"
            )
        status = watched.finished(HOSTILE)
    attacks = status.get("result", {}).get("attacks", {})
    expect(status["reason"] == "Succeeded" and attacks, f"the hostile image reported nothing: {status}")
    for name, attack in attacks.items():
        expect(not attack["succeeded"], f"attack {name} succeeded: {attack['happened']}")
        stage.say(f"{name:<17} {attack['happened']}")
    logs = stage.kubectl("logs", "-n", BANK, "-l", f"remit.dev/run={HOSTILE}", "--all-containers", "--tail=-1")
    for key in keys(stage):
        expect(key not in logs, "a key stands in the pod's logs")


def people_look(stage: Stage) -> None:
    """What a platform engineer sees."""
    listed = stage.show("get", "agt,tgrant,agpol,agrun", "-n", BANK)
    for name in ("dispute-4711", "BudgetExhausted", "Succeeded"):
        expect(name in listed, f"kubectl get does not show {name}")
    described = stage.show("describe", "agrun", "dispute-budget", "-n", BANK)
    expect("BudgetExhausted" in described, "kubectl describe does not give the reason")
    stage.show("get", "events", "-n", BANK, "--field-selector", "involvedObject.name=dispute-budget")


def evidence_is_proof(stage: Stage) -> None:
    """The evidence of a run verifies offline, and a record altered in a copy is found and named."""
    vkey = verifier_key(stage.kubeconfig, stage.kubectl_path)
    with tempfile.TemporaryDirectory() as folder:
        good, bad = Path(folder, "good"), Path(folder, "bad")
        fetch_export(stage.kubeconfig, BANK, "dispute-4711", good, kubectl=stage.kubectl_path)
        report = verify_export(read_export(good), vkey)
        expect(report.ok, f"the evidence does not verify: {report}")
        stage.say(f"remit verify: {report.summary}")
        shutil.copytree(good, bad)
        victim = sorted(bad.glob("entries/*.json"))[3]
        victim.write_bytes(victim.read_bytes().replace(b'"Allow"', b'"Deny"', 1).replace(b'"ok"', b'"no"', 1))
        report = verify_export(read_export(bad), vkey)
        expect(not report.ok, "an altered record was not found")
        stage.say(f"remit verify, one record altered: {report.summary}")


SCENES: dict[str, Scene] = {
    "resolved": a_dispute_is_resolved,
    "overlimit": a_credit_above_the_limit_is_refused,
    "malformed": malformed_arguments_are_refused,
    "budget": a_budget_ends_a_run,
    "suspended": a_grant_is_suspended_under_way,
    "hostile": a_hostile_image_stays_in,
    "look": people_look,
    "evidence": evidence_is_proof,
}


def begin(stage: Stage, run: str) -> None:
    """Apply a run of the example as a new attempt, so that the demo can be told again."""
    manifest = yaml.safe_load((stage.example / "runs" / f"{run}.yaml").read_text())
    start(stage, manifest)
    stage.say(f"kubectl apply -f {stage.example}/runs/{run}.yaml")


def tell_refusals(stage: Stage, run: str) -> None:
    """Show what the agent was told of each call that was refused."""
    for call in calls_of(stage, run):
        if call.effect == "Deny":
            stage.say(f"refused {call.tool}, {call.reason}: {call.message}")


def start(stage: Stage, manifest: dict[str, Any]) -> None:
    """Make a run afresh: one of that name from an earlier telling is deleted, and this is another attempt of it."""
    name = manifest["metadata"]["name"]
    attempt = stage.kubectl("get", "agentrun", name, "-n", BANK, "--ignore-not-found", "-o", "jsonpath={.spec.attempt}")
    stage.kubectl("delete", "agentrun", name, "-n", BANK, "--ignore-not-found", "--wait=true")
    again = {"attempt": int(attempt) + 1} if attempt else {}
    stage.apply([{**manifest, "spec": {**manifest["spec"], **again}}])


def suspend(stage: Stage, grant: str, *, suspended: bool) -> None:
    """Take a grant back, or give it again."""
    patch = '{"spec":{"suspended":true}}' if suspended else '{"spec":{"suspended":false}}'
    stage.kubectl("patch", "toolgrant", grant, "-n", BANK, "--type=merge", "-p", patch)
    stage.say(f"kubectl patch toolgrant {grant} --type=merge -p '{patch}'")


def hostile_agent(stage: Stage) -> dict[str, Any]:
    """Return an agent of the user's own image, hostile this time."""
    template = next(iter(yaml.safe_load_all((stage.example / "agents.yaml").read_text())))
    template["metadata"]["name"] = HOSTILE
    template["spec"]["runtime"] = {"container": {"image": stage.images["hostile"]}}
    return dict(template)


def hostile_run(stage: Stage) -> dict[str, Any]:
    """Return a run whose input tells the attacker where everything is: without DNS it would not find it."""
    order = {
        "dns": address(stage, "kube-system", "kube-dns"),
        "internet": stage.outside or "192.0.2.1:443",
        "apiserver": address(stage, "default", "kubernetes") + ":443",
        "bank": address(stage, CORE, "core-banking") + ":8000",
        "otherPod": pod_address(stage) + ":8001",
        "controlPort": f"{address(stage, INSTALL_NAMESPACE, CONTROL_SERVICE)}:{CONTROL_PORT}",
    }
    spec = {"agent": HOSTILE, "purpose": "card-dispute", "input": order}
    meta = {"name": HOSTILE, "namespace": BANK}
    return {"apiVersion": "remit.dev/v1alpha1", "kind": "AgentRun", "metadata": meta, "spec": spec}


def address(stage: Stage, namespace: str, service: str) -> str:
    """Return a Service's address."""
    return str(stage.get("service", service, namespace)["spec"]["clusterIP"])


def pod_address(stage: Stage) -> str:
    """Return the address of the model server's pod."""
    return stage.kubectl("get", "pods", "-n", CORE, "-l", "app=model", "-o", "jsonpath={.items[0].status.podIP}")


def reaches(stage: Stage, target: str) -> bool:
    """Tell whether an ordinary pod can connect: the control of the experiment."""
    host, _, port = target.rpartition(":")
    program = f"import socket; socket.create_connection(({host!r}, {port}), 3); print('reached')"
    printed = stage.kubectl("exec", "-n", CORE, "deploy/core-banking", "--", "/usr/bin/python3.11", "-c", program)
    return "reached" in printed


def keys(stage: Stage) -> list[str]:
    """Return the systems' keys."""
    return [
        base64.b64decode(stage.get("secret", name, CORE)["data"]["key"]).decode()
        for name in ("core-banking-key", "model-key")
    ]
