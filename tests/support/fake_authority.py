"""The cluster as the gateway sees it, without one: objects that a test puts, watches that tell them, statuses kept."""

import asyncio
import base64
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from typing import Any

from remit.adapters.clock import SystemClock
from remit.api.meta import API_VERSION
from remit.api.names import LABEL_SANDBOX, TOKEN_AUDIENCE
from remit.core.compile import compile_live
from remit.core.moments import timestamp
from remit.core.prepare import CompiledBundle
from remit.gateway.authority import Engines
from remit.ports import ClusterError

Stored = dict[str, Any]
Key = tuple[str, str, str, str]
HEARTBEAT_SECONDS = 0.5
NAMESPACE = "bank"
POD_UID = "pod-uid-1"
RUN_UID = "run-uid-1"
TOKEN = "good-token"


def key_of(stored: Mapping[str, Any]) -> Key:
    meta = stored["metadata"]
    return stored["apiVersion"], stored["kind"], meta.get("namespace", ""), meta["name"]


class FakeCluster:
    """Five verbs over a dictionary.

    `silent` stops its bookmarks, `away` makes it unreachable; the watch of a kind in `frozen` says nothing at all, and
    what happens to one in `hidden` is told to nobody, ever.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.objects: dict[Key, Stored] = {}
        self.statuses: list[Stored] = []
        self.tokens: dict[str, Stored] = {}
        self.unreadable: set[str] = set()
        self.secret_reads: list[str] = []
        self.silent = False
        self.frozen: set[str] = set()
        self.hidden: set[str] = set()
        self.away = False
        self.reviews = 0
        self.refused_statuses: list[ClusterError] = []
        """What the next writes of a status are refused with."""
        self._watchers: list[tuple[str, asyncio.Queue[tuple[str, Stored]]]] = []
        self._version = itertools.count(1)
        self.version = 0

    def put(self, stored: Stored) -> Stored:
        """Create or replace an object, as an apiserver would: versions grow."""
        new, old = deepcopy(stored), self.objects.get(key_of(stored))
        meta = new["metadata"]
        self.version = next(self._version)
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", old["metadata"]["uid"] if old else f"uid-{meta['resourceVersion']}")
        generation = old["metadata"].get("generation", 1) if old else 1
        changed = old is not None and old.get("spec") != new.get("spec")
        meta["generation"] = generation + 1 if changed else generation
        self.objects[key_of(new)] = new
        self._tell("MODIFIED" if old else "ADDED", new)
        return new

    def change(self, kind: str, name: str, **spec: Any) -> Stored:
        """Change fields of an object's spec."""
        stored = self.named(kind, name)
        return self.put(stored | {"spec": stored["spec"] | spec})

    def set_status(self, kind: str, name: str, **status: Any) -> Stored:
        """Change fields of an object's status."""
        stored = self.named(kind, name)
        return self.put(stored | {"status": stored.get("status", {}) | status})

    def remove(self, kind: str, name: str) -> None:
        """Delete an object."""
        stored = self.named(kind, name)
        del self.objects[key_of(stored)]
        self.version = next(self._version)
        last = stored | {"metadata": stored["metadata"] | {"resourceVersion": str(self.version)}}
        self._tell("DELETED", last)

    def named(self, kind: str, name: str) -> Stored:
        """Return the one object of that kind and name."""
        return next(each for each in self.objects.values() if each["kind"] == kind and each["metadata"]["name"] == name)

    def status_of(self, kind: str, name: str) -> Stored:
        """Return the status of an object."""
        status: Stored = self.named(kind, name).get("status") or {}
        return status

    async def get(self, api_version: str, kind: str, namespace: str, name: str) -> Stored | None:
        self._require_there()
        if kind == "Secret":
            self.secret_reads.append(name)
            if name in self.unreadable:
                raise ClusterError(f"secrets {name} is forbidden", "Forbidden", 403)
        return self.objects.get((api_version, kind, namespace, name))

    async def list(self, api_version: str, kind: str, namespace: str, selector: str = "") -> list[Stored]:
        self._require_there()
        assert not selector
        return [o for k, o in self.objects.items() if k[:2] == (api_version, kind) and namespace in {"", k[2]}]

    async def apply(self, manifest: Mapping[str, Any], manager: str) -> Stored:
        raise AssertionError(f"the gateway applies no object: {manifest['kind']} by {manager}")

    async def patch(self, api_version: str, kind: str, patch: Mapping[str, Any], manager: str) -> Stored:
        raise AssertionError(f"the gateway patches nothing: {kind} by {manager}")

    async def delete(self, api_version: str, kind: str, namespace: str, name: str, uid: str) -> None:  # noqa: PLR0917
        raise AssertionError(f"the gateway deletes nothing: {kind} {name}")

    async def create(self, manifest: Mapping[str, Any], manager: str) -> Stored:
        self._require_there()
        assert manifest["kind"] == "TokenReview"
        assert manager
        self.reviews += 1
        assert manifest["spec"]["audiences"] == [TOKEN_AUDIENCE]
        return dict(manifest) | {"status": self.tokens.get(manifest["spec"]["token"], {"authenticated": False})}

    async def apply_status(self, manifest: Mapping[str, Any], manager: str) -> Stored:
        self._require_there()
        assert manager == "remit-gateway"
        if self.refused_statuses:
            raise self.refused_statuses.pop()
        stored = self.objects.get(key_of(manifest))
        if stored is None:
            raise ClusterError("not found", "NotFound", 404)
        if stored["metadata"]["uid"] != manifest["metadata"]["uid"]:
            raise ClusterError("Precondition failed: UID in precondition", "Conflict", 409)
        self.statuses.append(dict(manifest))
        return self.put(stored | {"status": stored.get("status", {}) | dict(manifest["status"])})

    async def watch(self, api_version: str, kind: str, selector: str = "") -> AsyncIterator[tuple[str, Stored]]:
        self._require_there()
        queue: asyncio.Queue[tuple[str, Stored]] = asyncio.Queue()
        entry = (kind, queue)
        self._watchers.append(entry)
        try:
            listed, mark = [o for k, o in self.objects.items() if k[:2] == (api_version, kind)], self._mark()
            for stored in listed:
                yield "ADDED", stored
            yield "SYNCED", mark
            held: deque[tuple[str, Stored]] = deque()
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        held.append(await queue.get())
                except TimeoutError:
                    self._require_there()
                    if not self.silent and not held and kind not in self.frozen:
                        yield "BOOKMARK", self._mark()
                while held and kind not in self.frozen:
                    yield held.popleft()
        finally:
            self._watchers.remove(entry)

    def _mark(self) -> Stored:
        return {"metadata": {"resourceVersion": str(self.version)}}

    def _tell(self, event: str, stored: Stored) -> None:
        for kind, queue in self._watchers:
            if kind == stored["kind"] and kind not in self.hidden:
                queue.put_nowait((event, stored))

    def _require_there(self) -> None:
        if self.away:
            raise ClusterError("the apiserver cannot be reached", "Unreachable")


def an_agent(**changes: Any) -> Stored:
    spec = {
        "owner": "team-disputes",
        "purposes": ["dispute"],
        "lifecycle": "Active",
        "runtime": {"harness": {}},
        "instructions": {"inline": "Resolve the dispute."},
        "model": {"grant": "model", "name": "scripted", "maxOutputTokens": 256},
        "loop": {"maxIterations": 20},
    }
    return _object("Agent", "clerk", spec | changes)


def a_tool(name: str, risk: str = "ReadOnly", **changes: Any) -> Stored:
    schema = {"type": "object", "properties": {"amount": {"type": "integer"}}, "additionalProperties": False}
    return {"name": name, "risk": risk, "inputSchema": schema, "constraints": []} | changes


def a_grant(url: str, *tools: Stored, **changes: Any) -> Stored:
    spec = {
        "agents": {"names": ["clerk"]},
        "purposes": ["dispute"],
        "upstream": {"mcp": {"url": url}},
        "credentials": [{"header": "X-Bank-Key", "secretName": "bank-key", "secretKey": "key"}],
        "tools": list(tools) or [a_tool("look"), a_tool("credit", "Financial")],
    }
    return _object("ToolGrant", "bank", spec | changes)


def a_model_grant(url: str, api: str = "OpenAI", **changes: Any) -> Stored:
    model = {"name": "scripted", "inputMicroUSDPerMillionTokens": 1, "outputMicroUSDPerMillionTokens": 1}
    spec = {
        "agents": {"names": ["clerk"]},
        "purposes": ["dispute"],
        "upstream": {"model": {"api": api, "baseURL": url, "models": [model]}},
    }
    return _object("ToolGrant", "model", spec | changes)


def a_rule(name: str = "all", effect: str = "Allow", when: str = "true", tools: tuple[str, ...] = ("*",)) -> Stored:
    message = f"the rule {name} says so"
    return {"name": name, "tools": list(tools), "risks": ["Any"], "when": when, "effect": effect, "message": message}


def a_policy(*rules: Stored, **changes: Any) -> Stored:
    budget = {"per": "Run", "costMicroUSD": 1000, "tokens": 100_000, "toolCalls": 50, "wallClockSeconds": 600}
    return _object("Policy", "rules", {"rules": list(rules) or [a_rule()], "budgets": [budget | changes]})


def a_run(**changes: Any) -> Stored:
    spec = {
        "agent": "clerk",
        "purpose": "dispute",
        "case": {"id": "D-1", "system": "disputes", "step": "intake"},
        "input": {"dispute": "D-1"},
        "requester": {"username": "ada", "uid": "u1", "groups": ["clerks"]},
        "deadlineSeconds": 600,
        "attempt": 1,
        "desired": "Running",
    }
    run = _object("AgentRun", "run-1", spec | changes)
    run["metadata"]["uid"] = RUN_UID
    run["status"] = {"reason": "Running", "pod": {"name": "run-1-1", "uid": POD_UID}}
    return run


def a_pod(address: str = "127.0.0.1", uid: str = POD_UID, name: str = "run-1-1") -> Stored:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": NAMESPACE, "name": name, "uid": uid, "labels": {LABEL_SANDBOX: "harness"}},
        "status": {"podIPs": [{"ip": address}]},
    }


def a_secret(value: str, hosts: str, name: str = "bank-key") -> Stored:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": NAMESPACE, "name": name, "annotations": {"remit.dev/hosts": hosts}},
        "data": {"key": base64.b64encode(value.encode()).decode()},
    }


def a_review(pod_uid: str = POD_UID, audience: str = TOKEN_AUDIENCE) -> Stored:
    """The status of a TokenReview that knows the token."""
    user = {
        "username": f"system:serviceaccount:{NAMESPACE}:remit-agent-clerk",
        "extra": {
            "authentication.kubernetes.io/pod-uid": [pod_uid],
            "authentication.kubernetes.io/pod-name": ["run-1-1"],
        },
    }
    return {"authenticated": True, "audiences": [audience], "user": user}


def admit(cluster: FakeCluster, engines: Engines, run: Stored | None = None) -> CompiledBundle:
    """Do what the controller does: pin the agent's bundle and serve the run to its pod."""
    of = {kind: [o for o in cluster.objects.values() if o["kind"] == kind] for kind in ("ToolGrant", "Policy")}
    compiled = compile_live(
        cluster.named("Agent", "clerk"),
        of["ToolGrant"],
        of["Policy"],
        namespace_labels={},
        install_namespace="remit-system",
        rules=engines.rules,
        schemas=engines.schemas,
    )
    assert isinstance(compiled, CompiledBundle), compiled
    labels = {"kubernetes.io/metadata.name": NAMESPACE}
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    name = f"remit-agent-clerk-{compiled.digest[7:17]}"
    revision = _object("ControllerRevision", name, {})
    revision |= {"apiVersion": "apps/v1", "data": compiled.bundle.document()}
    del revision["spec"]
    cluster.put(revision)
    run = run or a_run()
    run["status"] = run.get("status", {}) | {"revision": {"name": name, "digest": compiled.digest}}
    cluster.put(run)
    return compiled


def _object(kind: str, name: str, spec: Stored) -> Stored:
    metadata = {"namespace": NAMESPACE, "name": name, "creationTimestamp": timestamp(SystemClock().now())}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
