"""What `revocation` is tried on: a real apiserver, a real gateway process, and objects that a controller would make.

There is no controller and no kubelet in it: runs are said to be running, and their pods are never started. So what is
taken back is taken back by the gateway alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from benchmarks.processes import BenchmarkError, free_port, running
from remit.adapters.access import from_kubeconfig
from remit.adapters.cel import CelEngine
from remit.adapters.clock import SystemClock
from remit.adapters.schemas import JsonSchemaEngine
from remit.adapters.signing import DEFAULT_KEY_NAME, generate_key
from remit.api.meta import API_VERSION
from remit.api.names import CONTROLLER_ACCOUNT, INSTALL_NAMESPACE, TOKEN_AUDIENCE
from remit.core.children import agent_revision
from remit.core.compile import compile_live
from remit.core.moments import timestamp
from remit.core.notes import VerifierKey, parse_verifier_key
from remit.core.prepare import CompiledBundle

REMIT = f"/apis/{API_VERSION}/namespaces"
PLURALS = {"Agent": "agents", "ToolGrant": "toolgrants", "Policy": "policies", "AgentRun": "agentruns"}
CONTROLLER = f"system:serviceaccount:{INSTALL_NAMESPACE}:{CONTROLLER_ACCOUNT}"
PLENTY = 1_000_000_000
TOKEN_SECONDS = 7200
REFUSED = 400
WAIT_SECONDS, POLL_SECONDS = 30.0, 0.02

Object = dict[str, Any]


class Kube:
    """The apiserver as its administrator speaks to it, or in the name of somebody else."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        """Speak over this session."""
        self._session = session
        self._server = server

    async def call(self, method: str, path: str, body: Any = None, *, kind: str = "json", user: str = "") -> Object:
        """Make one request; raises BenchmarkError when it is refused."""
        headers = {"Content-Type": f"application/{kind}"} | ({"Impersonate-User": user} if user else {})
        sent = None if body is None else json.dumps(body).encode()
        async with self._session.request(method, self._server + path, data=sent, headers=headers) as answer:
            told: Object = await answer.json()
            if answer.status >= REFUSED:
                raise BenchmarkError(f"{method} {path}: {answer.status} {told.get('message')}")
            return told

    async def until(self, path: str) -> None:
        """Wait until an object is there."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                try:
                    await self.call("GET", path)
                except BenchmarkError:
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    return

    async def create(self, collection: str, thing: Object, user: str = "") -> Object:
        """Create an object."""
        return await self.call("POST", collection, thing, user=user)

    async def merge(self, path: str, change: Object, user: str = "") -> Object:
        """Change an object by merge patch."""
        return await self.call("PATCH", path, change, kind="merge-patch+json", user=user)

    async def account_token(self, namespace: str, account: str, bound: Mapping[str, str] | None = None) -> str:
        """Return a token of an account: for the apiserver, or, bound to a pod, for the gateway."""
        spec: Object = {"expirationSeconds": TOKEN_SECONDS}
        if bound is not None:
            spec |= {"audiences": [TOKEN_AUDIENCE], "boundObjectRef": dict(bound)}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        token: str = (await self.create(path, {"spec": spec}))["status"]["token"]
        return token


@asynccontextmanager
async def kube(kubeconfig: Path) -> AsyncIterator[Kube]:
    """Speak to the apiserver of a kubeconfig."""
    access = from_kubeconfig(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=access.tls(), limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Kube(session, access.server)


@dataclass(frozen=True)
class Gateway:
    """A gateway process: where it is, and what verifies its log."""

    url: str
    control_url: str
    verifier: VerifierKey


@contextmanager
def gateway(folder: Path, kubeconfig: Path, token: str) -> Iterator[Gateway]:
    """Run the gateway as in production, under its own account."""
    whole = yaml.safe_load(kubeconfig.read_text())
    whole["users"][0]["user"] = {"token": token}
    account, signing, port, control = folder / "kubeconfig", folder / "ed25519.key", free_port(), free_port()
    account.write_text(json.dumps(whole))
    secret, public = generate_key(DEFAULT_KEY_NAME)
    signing.write_text(secret)
    environment = {
        "KUBECONFIG": str(account),
        "REMIT_HOST": "127.0.0.1",
        "REMIT_AGENT_PORT": str(port),
        "REMIT_CONTROL_PORT": str(control),
        "REMIT_LEDGER_PATH": str(folder / "ledger.sqlite"),
        "REMIT_SIGNING_KEY_PATH": str(signing),
        "REMIT_CHECK_PEER": "false",
    }
    line = [sys.executable, "-m", "remit.gateway"]
    with running(line, log=folder / "gateway.log", port=port, environment=os.environ | environment):
        yield Gateway(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{control}", parse_verifier_key(public))


@contextmanager
def witness(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the upstream; yields its URL and its notes."""
    port, notes = free_port(), folder / "notes.jsonl"
    line = [sys.executable, "-m", "benchmarks.revocation_witness", str(port), str(notes)]
    with running(line, log=folder / "witness.log", port=port):
        yield f"http://127.0.0.1:{port}", notes


@dataclass(frozen=True)
class Run:
    """A run that is said to be running, and its pod's token."""

    name: str
    token: str


@dataclass
class Lane:
    """One namespace with an agent, its grants and its policy: trials in different lanes do not touch each other."""

    kube: Kube
    namespace: str
    upstream: str
    revision: Object | None = None
    number: int = 0

    def path(self, kind: str, name: str = "") -> str:
        """Return the path of an object, or of its kind."""
        return f"{REMIT}/{self.namespace}/{PLURALS[kind]}" + (f"/{name}" if name else "")

    async def furnish(self) -> None:
        """Make the namespace, and everything in it that is not of one trial."""
        await self.kube.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        made: dict[str, list[Object]] = {kind: [] for kind in PLURALS}
        for thing in (agent(), tool_grant(self.upstream), model_grant(), policy()):
            made[thing["kind"]].append(await self.kube.create(self.path(thing["kind"]), thing))
        compiled = compile_live(
            made["Agent"][0],
            made["ToolGrant"],
            made["Policy"],
            namespace_labels={},
            install_namespace=INSTALL_NAMESPACE,
            rules=CelEngine(),
            schemas=JsonSchemaEngine(),
        )
        if not isinstance(compiled, CompiledBundle):
            raise BenchmarkError(f"the lane's agent does not compile: {compiled.message}")
        kept = agent_revision(made["Agent"][0], compiled.bundle.document(), compiled.digest, 1)
        revisions = f"/apis/apps/v1/namespaces/{self.namespace}/controllerrevisions"
        await self.kube.create(revisions, kept, CONTROLLER)
        await self.kube.until(f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default")
        self.revision = {"name": kept["metadata"]["name"], "digest": compiled.digest}

    async def new_run(self) -> Run:
        """Make a run with a pod that nobody starts, and say as the controller that it runs."""
        self.number += 1
        name = f"run-{self.number}"
        made = await self.kube.create(f"/api/v1/namespaces/{self.namespace}/pods", pod(name))
        bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": made["metadata"]["uid"]}
        token = await self.kube.account_token(self.namespace, "default", bound)
        await self.kube.create(self.path("AgentRun"), run(name))
        status = {
            "reason": "Running",
            "startedAt": timestamp(SystemClock().now()),
            "pod": {"name": name, "uid": made["metadata"]["uid"]},
            "revision": self.revision,
        }
        await self.kube.merge(f"{self.path('AgentRun', name)}/status", {"status": status}, CONTROLLER)
        return Run(name, token)

    async def leave(self) -> None:
        """Send the namespace away."""
        await self.kube.call("DELETE", f"/api/v1/namespaces/{self.namespace}")


def an_object(kind: str, name: str, spec: Object) -> Object:
    """Return an object of Remit's."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def agent() -> Object:
    """Return the lane's agent."""
    return an_object(
        "Agent",
        "clerk",
        {
            "owner": "bench@example.com",
            "purposes": ["bench"],
            "lifecycle": "Active",
            "runtime": {"harness": {}},
            "instructions": {"inline": "Call."},
            "model": {"grant": "model", "name": "none"},
        },
    )


def tool_grant(upstream: str) -> Object:
    """Return the grant of the witness's tool."""
    schema = {
        "type": "object",
        "properties": {"trial": {"type": "string"}, "call": {"type": "integer"}, "hold": {"type": "boolean"}},
    }
    tool = {"name": "look", "risk": "ReadOnly", "inputSchema": schema, "constraints": [], "timeoutSeconds": 60}
    spec = {"agents": {"names": ["clerk"]}, "purposes": ["bench"], "upstream": {"mcp": {"url": f"{upstream}/mcp"}}}
    return an_object("ToolGrant", "tools", spec | {"tools": [tool]})


def model_grant() -> Object:
    """Return the grant of a model that is never called."""
    model = {"name": "none", "inputMicroUSDPerMillionTokens": 1, "outputMicroUSDPerMillionTokens": 1}
    upstream = {"model": {"api": "OpenAI", "baseURL": "http://127.0.0.1:9/v1", "models": [model]}}
    return an_object(
        "ToolGrant", "model", {"agents": {"names": ["clerk"]}, "purposes": ["bench"], "upstream": upstream}
    )


def policy() -> Object:
    """Return a policy that allows everything, and a budget that nobody uses up."""
    budget = {"per": "Run", "costMicroUSD": PLENTY, "tokens": PLENTY, "toolCalls": PLENTY, "wallClockSeconds": 86_400}
    return an_object("Policy", "rules", {"rules": [rule("Allow")], "budgets": [budget]})


def rule(effect: str) -> Object:
    """Return a rule for every call."""
    return {"name": "all", "tools": ["*"], "risks": ["Any"], "when": "true", "effect": effect, "message": "so be it"}


def run(name: str) -> Object:
    """Return a run."""
    return an_object("AgentRun", name, {"agent": "clerk", "purpose": "bench", "input": {}})


def pod(name: str) -> Object:
    """Return a pod that no scheduler takes: it is there for its token."""
    container = {"name": "none", "image": "remit.dev/none:1"}
    spec = {
        "automountServiceAccountToken": False,
        "schedulingGates": [{"name": "remit.dev/never"}],
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
