"""What the governed side of `gateway-cpu` is granted: example 01's objects, with wide budgets."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from remit.api.meta import API_VERSION
from remit.api.names import ANNOTATION_HOSTS, INSTALL_NAMESPACE, LABEL_SANDBOX, TOKEN_AUDIENCE, agent_child
from remit.api.names import revision_name as named_revision
from remit.core.compile import compile_live
from remit.core.engines import RuleEngine, SchemaEngine
from remit.core.prepare import CompiledBundle

BANK = "bank"
AGENT = "dispute-resolver"
MODEL = "scripted-dispute"
PLENTY = 1_000_000_000_000
SINCE = "2026-01-01T00:00:00Z"
YEAR_SECONDS = 31_536_000
POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"

Stored = dict[str, Any]


def token_of(number: int) -> str:
    """Return the token of a run's pod."""
    return f"token-of-run-{number}"


@dataclass(frozen=True, slots=True)
class Estate:
    """Every object that the gateway watches, by kind, and its Secrets."""

    by_kind: dict[str, list[Stored]]
    secrets: dict[str, Stored]

    def review(self, token: str) -> Stored:
        """Return what a TokenReview says of a token."""
        number = token.rpartition("-")[2]
        if token != token_of(int(number)):
            return {"authenticated": False}
        account = f"system:serviceaccount:{BANK}:{agent_child(AGENT)}"
        extra = {POD_NAME: [f"run-{number}-1"], POD_UID: [f"pod-uid-{number}"]}
        return {"authenticated": True, "audiences": [TOKEN_AUDIENCE], "user": {"username": account, "extra": extra}}


def estate(example: Path, upstream: str, runs: int, engines: tuple[RuleEngine, SchemaEngine]) -> Estate:
    """Make the objects of one agent and its runs, from the example's files."""
    agent = next(each for each in documents(example / "agents.yaml") if each["metadata"]["name"] == AGENT)
    agent["spec"]["loop"]["maxIterations"] = 1000
    grants = [near(each, upstream) for each in documents(example / "grants.yaml")]
    policies = [widened(each) for each in documents(example / "policy.yaml")]
    compiled = compile_live(
        agent, grants, policies,
        namespace_labels={}, install_namespace=INSTALL_NAMESPACE, rules=engines[0], schemas=engines[1],
    )  # fmt: skip
    if not isinstance(compiled, CompiledBundle):
        raise TypeError(f"the example does not compile: {compiled.message}")
    revision = named_revision(AGENT, compiled.digest)
    kept = an_object("ControllerRevision", revision, api_version="apps/v1") | {"data": compiled.bundle.document()}
    pinned = {"name": revision, "digest": compiled.digest}
    return Estate(
        by_kind={
            "Namespace": [an_object("Namespace", BANK, api_version="v1")],
            "Agent": [agent],
            "ToolGrant": grants,
            "Policy": policies,
            "ControllerRevision": [kept],
            "AgentRun": [a_run(number, pinned) for number in range(runs)],
            "Pod": [a_pod(number) for number in range(runs)],
        },
        secrets={name: a_secret(name, upstream) for name in credentials(grants)},
    )


def documents(path: Path) -> Iterator[Stored]:
    """Read a file's objects as the apiserver would store them."""
    for document in yaml.safe_load_all(path.read_text()):
        meta = {"uid": f"uid-of-{document['metadata']['name']}", "generation": 1, "resourceVersion": "1"}
        yield document | {"metadata": document["metadata"] | meta}


def near(grant: Stored, upstream: str) -> Stored:
    """Return a grant whose upstream is the benchmark's."""
    target = grant["spec"]["upstream"]
    if "mcp" in target:
        target["mcp"]["url"] = f"http://{upstream}/mcp"
    else:
        target["model"]["baseURL"] = f"http://{upstream}/v1"
    return grant


def widened(policy: Stored) -> Stored:
    """Return a policy whose budget no benchmark uses up; it is reckoned with all the same."""
    budget = {"costMicroUSD": PLENTY, "tokens": PLENTY, "toolCalls": PLENTY, "wallClockSeconds": YEAR_SECONDS}
    policy["spec"]["budgets"] = [{"per": "Run", **budget}]
    return policy


def credentials(grants: list[Stored]) -> set[str]:
    """Return the names of the Secrets that grants name."""
    return {each["secretName"] for grant in grants for each in grant["spec"].get("credentials", [])}


def an_object(kind: str, name: str, *, namespace: str = BANK, api_version: str = API_VERSION) -> Stored:
    """Return an object's head."""
    meta = {"name": name, "uid": f"uid-of-{name}", "generation": 1, "resourceVersion": "1"}
    if kind != "Namespace":
        meta["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


def a_run(number: int, pinned: dict[str, str]) -> Stored:
    """Return a run under way."""
    return an_object("AgentRun", f"run-{number}") | {
        "spec": {
            "agent": AGENT,
            "purpose": "card-dispute",
            "case": {"id": f"DSP-CASE-{number}", "system": "disputes", "step": "provisional-credit"},
            "input": {"account": "ACC-4711"},
            "requester": {"username": "clerk@bank.example", "uid": "u-1", "groups": ["disputes"]},
        },
        "status": {
            "reason": "Running",
            "pod": {"name": f"run-{number}-1", "uid": f"pod-uid-{number}"},
            "revision": pinned,
            "startedAt": SINCE,
        },
    }


def a_pod(number: int) -> Stored:
    """Return a run's pod, which calls from the loopback."""
    pod = an_object("Pod", f"run-{number}-1", api_version="v1")
    pod["metadata"] |= {"uid": f"pod-uid-{number}", "labels": {LABEL_SANDBOX: "harness"}}
    return pod | {"status": {"podIPs": [{"ip": "127.0.0.1"}]}}


def a_secret(name: str, upstream: str) -> Stored:
    """Return a Secret that may go to the benchmark's upstream."""
    made = an_object("Secret", name, api_version="v1")
    made["metadata"]["annotations"] = {ANNOTATION_HOSTS: upstream}
    return made | {"data": {"key": base64.b64encode(b"benchmark-key").decode()}}
