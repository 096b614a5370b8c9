"""The objects that Remit makes: a namespace's standing policy, an agent's children, a run's pod. Pure.

INVARIANT: nothing here depends on time or chance, so that making a child twice makes the same child.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from typing import Any

from remit.api import names
from remit.api.agent import AgentSpec, ContainerRuntime, Sandbox
from remit.api.agentrun import AgentRunSpec
from remit.api.meta import API_VERSION
from remit.api.wire import ANTHROPIC_BASE_PATH, MCP_PATH, OPENAI_BASE_PATH
from remit.core.digest import digest_of
from remit.core.moments import epoch_seconds

Manifest = dict[str, Any]

SANDBOX_GROUP = 65532
FIRST_USER, USER_PAIRS = 1_000_000, 500_000_000
TOKEN_SECONDS = 600
"""Life of the projected token: the kubelet renews it; the shortest that Kubernetes allows."""
POD_GRACE_SECONDS = 60
"""The pod outlives its run's deadline by this much at most, should the controller be away."""
TERMINATION_SECONDS = 1
"""An agent has handed over before its pod is deleted, or has lost the right to."""
REQUESTED_CPU_MILLIS = 100
MARK_LENGTH = 20
GATEWAY_URL = f"http://{names.GATEWAY_HOST}:{names.AGENT_PORT}"
SIDECAR_URL = f"http://127.0.0.1:{names.SIDECAR_PORT}"
SIDECAR_COMMAND = ["python3.11", "-m", "remit.harness", "sidecar"]
_PLACEHOLDER = "held-by-the-gateway"
"""SDKs refuse to start without a key; the real one never comes near the pod."""
_SIDECAR_IS_UP = f"""\
import socket, time
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", {names.SIDECAR_PORT}), 1).close()
        break
    except OSError:
        time.sleep(0.05)
else:
    raise SystemExit("the sidecar does not listen")
"""
_RESTRICTED: Manifest = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What the pods of an installation have in common."""

    harness_image: str
    gateway_address: str
    """ClusterIP of the gateway's Service: sandboxes have no DNS."""


def standing_deny(namespace: str) -> Manifest:
    """The policy that closes every sandbox of a namespace. Nothing owns it, so nothing takes it along."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": names.DENY_POLICY,
            "namespace": namespace,
            "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY},
            "finalizers": [names.DENY_FINALIZER],
        },
        "spec": {
            "podSelector": {"matchExpressions": [{"key": names.LABEL_SANDBOX, "operator": "Exists"}]},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],  # said, so that a rule that someone adds is seen and taken away
            "egress": [],
        },
    }


def released_deny(namespace: str) -> Manifest:
    """The standing policy let go: it is being deleted, and no sandbox is left that it would close."""
    deny = standing_deny(namespace)
    return {**deny, "metadata": {key: value for key, value in deny["metadata"].items() if key != "finalizers"}}


def agent_account(agent: Mapping[str, Any]) -> Manifest:
    """The agent's account: it names the agent's pods and may do nothing."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _child_of_agent(agent, names.agent_child(agent["metadata"]["name"])),
        "automountServiceAccountToken": False,
    }


def agent_policy(agent: Mapping[str, Any], install_namespace: str) -> Manifest:
    """The one way out of the agent's pods: the gateway's agent port, unless a pod is quarantined."""
    name = agent["metadata"]["name"]
    gateway = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": install_namespace}},
        "podSelector": {"matchLabels": dict(names.GATEWAY_LABELS)},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _child_of_agent(agent, names.agent_child(name)),
        "spec": {
            "podSelector": {
                "matchLabels": {names.LABEL_AGENT: name},
                "matchExpressions": [
                    {"key": names.LABEL_SANDBOX, "operator": "Exists"},
                    {"key": names.LABEL_QUARANTINE, "operator": "DoesNotExist"},
                ],
            },
            "policyTypes": ["Egress"],
            "egress": [{"to": [gateway], "ports": [{"protocol": "TCP", "port": names.AGENT_PORT}]}],
        },
    }


def agent_revision(agent: Mapping[str, Any], document: Mapping[str, Any], digest: str, number: int) -> Manifest:
    """The bundle, kept as long as it is in force or a run is pinned to it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": _child_of_agent(agent, names.revision_name(agent["metadata"]["name"], digest)),
        "data": dict(document),
        "revision": number,
    }


def _child_of_agent(agent: Mapping[str, Any], name: str) -> Manifest:
    metadata = agent["metadata"]
    return {
        "name": name,
        "namespace": metadata["namespace"],
        "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_AGENT: metadata["name"]},
        "ownerReferences": [_owner("Agent", metadata)],
    }


def _owner(kind: str, metadata: Mapping[str, Any]) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def run_pod(run: Mapping[str, Any], run_spec: AgentRunSpec, agent: AgentSpec, settings: SandboxSettings) -> Manifest:
    """The sandbox that is made for one run. Nothing in it differs by run but names, users and the deadline."""
    metadata = run["metadata"]
    name = names.pod_name(metadata["name"], run_spec.attempt, failed_tries(run))
    spec = _pod_spec(run_spec.agent, agent, settings, user=_user_of(metadata["uid"]))
    deadline = {"activeDeadlineSeconds": run_spec.deadline_seconds + POD_GRACE_SECONDS}
    labels = {names.LABEL_RUN: names.run_label(metadata["name"])}
    return _pod(name, _owner("AgentRun", metadata), labels, {**spec, **deadline}, run_spec.agent, metadata["namespace"])


def warm_mark(agent: Mapping[str, Any], revision: Mapping[str, Any], spec: AgentSpec, settings: SandboxSettings) -> str:
    """Return what differs whenever a pod that stands ready for the agent would be made otherwise."""
    metadata = agent["metadata"]
    made_from = [metadata["uid"], revision["digest"], _pod_spec(metadata["name"], spec, settings, user=FIRST_USER)]
    return digest_of(made_from).removeprefix("sha256:")[:MARK_LENGTH]


def warm_pod(agent: Mapping[str, Any], spec: AgentSpec, settings: SandboxSettings, *, mark: str, name: str) -> Manifest:
    """A sandbox that stands ready: like one that is made for a run, but it has no run, and no deadline yet."""
    metadata = agent["metadata"]
    body = _pod_spec(metadata["name"], spec, settings, user=_user_of(f"{metadata['uid']}/{name}"))
    owner = _owner("Agent", metadata)
    return _pod(name, owner, {names.LABEL_WARM: mark}, body, metadata["name"], metadata["namespace"])


def claim_of(pod: Mapping[str, Any], run: Mapping[str, Any], run_spec: AgentRunSpec) -> Manifest:
    """The one patch that makes a pod that stands ready a run's own, if it is still in the state that was seen.

    A pod's deadline counts from its own start; it may be given to a pod that runs, and never be taken away.
    """
    metadata, claimant = pod["metadata"], run["metadata"]
    stood_since = (pod.get("status") or {}).get("startTime") or metadata["creationTimestamp"]
    ends_at = epoch_seconds(claimant["creationTimestamp"]) + run_spec.deadline_seconds + POD_GRACE_SECONDS
    return {
        "metadata": {
            **{field: metadata[field] for field in ("name", "namespace", "uid", "resourceVersion")},
            "labels": {names.LABEL_WARM: None, names.LABEL_RUN: names.run_label(claimant["name"])},
            "ownerReferences": [_owner("AgentRun", claimant)],
        },
        "spec": {"activeDeadlineSeconds": max(1, ceil(ends_at - epoch_seconds(stood_since)))},
    }


def claimed_pod(
    pod: Mapping[str, Any],
    run: Mapping[str, Any],
    agent: Mapping[str, Any],
    *,
    spec: AgentSpec,
    settings: SandboxSettings,
) -> Manifest:
    """What a run's sandbox looks like that stood ready before: a name and users of its own, the run's for the rest."""
    name, metadata = pod["metadata"]["name"], agent["metadata"]
    body = _pod_spec(metadata["name"], spec, settings, user=_user_of(f"{metadata['uid']}/{name}"))
    labels = {names.LABEL_RUN: names.run_label(run["metadata"]["name"])}
    owner = _owner("AgentRun", run["metadata"])
    return _pod(name, owner, labels, body, metadata["name"], metadata["namespace"])


def _pod(name: str, owner: Manifest, labels: Manifest, spec: Manifest, agent: str, namespace: str) -> Manifest:  # noqa: PLR0917 - all that a pod consists of
    sandbox = "container" if "initContainers" in spec else "harness"
    standing = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_SANDBOX: sandbox, names.LABEL_AGENT: agent}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**standing, **labels},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def failed_tries(run: Mapping[str, Any]) -> int:
    """Return how many pods of the run the infrastructure failed: the next one has another name."""
    return len((run.get("status") or {}).get("tries") or ())


def _user_of(sandbox: str) -> int:
    """Return the first of a sandbox's two user ids; the second is the sidecar's.

    Each has its own: the kernel counts processes by user over the whole node, so that one sandbox's limit
    (RLIMIT_NPROC) would else be used up by another's.
    """
    return FIRST_USER + 2 * (int(sha256(sandbox.encode()).hexdigest(), 16) % USER_PAIRS)


def _pod_spec(agent_name: str, agent: AgentSpec, settings: SandboxSettings, *, user: int) -> Manifest:
    return {
        "serviceAccountName": names.agent_child(agent_name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": TERMINATION_SECONDS,
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "hostAliases": [{"ip": settings.gateway_address, "hostnames": [names.GATEWAY_HOST]}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": SANDBOX_GROUP,
            "fsGroup": SANDBOX_GROUP,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"runtimeClassName": agent.sandbox.runtime_class_name} if agent.sandbox.runtime_class_name else {}),
        **_containers(agent, settings, user=user),
        "volumes": [_token_volume(), _scratch_volume(agent.sandbox)],
    }


def _containers(agent: AgentSpec, settings: SandboxSettings, *, user: int) -> Manifest:
    """The harness alone, or the user's container beside the sidecar that holds the token for it."""
    if agent.runtime.container is None:
        return {"containers": [_harness(agent.sandbox, settings.harness_image)]}
    return {
        "initContainers": [_sidecar(settings.harness_image, user=user + 1)],
        "containers": [_users(agent.runtime.container, agent.sandbox)],
    }


def _harness(sandbox: Sandbox, image: str) -> Manifest:
    return {
        "name": "harness",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "REMIT_GATEWAY_URL", "value": GATEWAY_URL}],
        "resources": _resources(sandbox),
        "securityContext": dict(_RESTRICTED),
        "volumeMounts": [_TOKEN_MOUNT, _SCRATCH_MOUNT],
    }


def _sidecar(image: str, *, user: int) -> Manifest:
    """A native sidecar: it starts first, is not waited for at the end, and alone holds the token.

    The agent's container starts when it listens: SDKs do not all try again.
    """
    return {
        "name": "remit-sidecar",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(SIDECAR_COMMAND),
        "env": [{"name": "REMIT_GATEWAY_URL", "value": GATEWAY_URL}],
        "restartPolicy": "Always",
        "lifecycle": {"postStart": {"exec": {"command": ["python3.11", "-S", "-c", _SIDECAR_IS_UP]}}},
        "resources": _resources(Sandbox(cpu_millis=500, memory_mib=64, ephemeral_storage_mib=16)),
        "securityContext": {**_RESTRICTED, "runAsUser": user},
        "volumeMounts": [_TOKEN_MOUNT],
    }


def _users(container: ContainerRuntime, sandbox: Sandbox) -> Manifest:
    overrides = {"command": container.command, "args": container.args}
    return {
        "name": "agent",
        "image": container.image,
        "imagePullPolicy": "IfNotPresent",
        **{field: list(words) for field, words in overrides.items() if words is not None},
        "env": [{"name": name, "value": value} for name, value in _SDK_SETTINGS.items()],
        "resources": _resources(sandbox),
        "securityContext": dict(_RESTRICTED),
        "volumeMounts": [_SCRATCH_MOUNT],
    }


_SDK_SETTINGS = {
    "REMIT_URL": SIDECAR_URL,
    "REMIT_MCP_URL": SIDECAR_URL + MCP_PATH,
    "OPENAI_BASE_URL": SIDECAR_URL + OPENAI_BASE_PATH,
    "OPENAI_API_KEY": _PLACEHOLDER,
    "ANTHROPIC_BASE_URL": SIDECAR_URL + ANTHROPIC_BASE_PATH,
    "ANTHROPIC_AUTH_TOKEN": _PLACEHOLDER,
    "HOME": names.SCRATCH_PATH,
    "TMPDIR": names.SCRATCH_PATH,
}
_TOKEN_DIRECTORY, _, _TOKEN_FILE = names.TOKEN_PATH.rpartition("/")
_TOKEN_MOUNT: Manifest = {"name": "gateway-token", "mountPath": _TOKEN_DIRECTORY, "readOnly": True}
_SCRATCH_MOUNT: Manifest = {"name": "scratch", "mountPath": names.SCRATCH_PATH}


def _resources(sandbox: Sandbox) -> Manifest:
    memory, storage = _mebibytes(sandbox.memory_mib), _mebibytes(sandbox.ephemeral_storage_mib)
    requested = min(sandbox.cpu_millis, REQUESTED_CPU_MILLIS)
    return {
        "limits": {"cpu": _cores(sandbox.cpu_millis), "memory": memory, "ephemeral-storage": storage},
        "requests": {"cpu": _cores(requested), "memory": memory, "ephemeral-storage": storage},
    }


def _cores(millis: int) -> str:
    """Write a quantity as the apiserver does, so that what is stored can be compared with what is wanted."""
    return str(millis // 1000) if millis % 1000 == 0 else f"{millis}m"


def _mebibytes(count: int) -> str:
    """Write a quantity as the apiserver does."""
    return f"{count // 1024}Gi" if count % 1024 == 0 else f"{count}Mi"


def _token_volume() -> Manifest:
    token = {"audience": names.TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": _TOKEN_FILE}
    return {"name": "gateway-token", "projected": {"sources": [{"serviceAccountToken": token}]}}


def _scratch_volume(sandbox: Sandbox) -> Manifest:
    return {"name": "scratch", "emptyDir": {"sizeLimit": _mebibytes(sandbox.scratch_mib)}}
