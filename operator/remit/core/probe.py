"""The enforcement probe: the pod that must not get out, what its findings prove, and what waits for that. Pure.

A NetworkPolicy is a wish: a network plugin that does not know it ignores it, and other kinds of policies may come
before it. So nothing starts until a pod like a sandbox was seen to be shut in, and to reach the gateway all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from remit.api import names
from remit.api.agent import AgentSpec
from remit.api.reasons import ObjectReason
from remit.core.children import SandboxSettings, agent_account, agent_policy, standing_deny, warm_pod

Manifest = dict[str, Any]
POD_NAME: Final = "remit-enforcement-probe"
DEADLINE_SECONDS: Final = 90
MAX_SHOWN: Final = 5
_FIELD: Final = "proof"
_SPEC: Final = AgentSpec.model_validate(
    {
        "owner": "remit",
        "purposes": ["enforcement"],
        "runtime": {"harness": {}},
        "instructions": {"inline": "Try to get out."},
        "model": {"grant": "none", "name": "none"},
        "sandbox": {"cpuMillis": 200, "memoryMiB": 64, "ephemeralStorageMiB": 16, "scratchMiB": 1},
    }
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the probe found; None where it could not tell."""

    at: float
    """When, in epoch seconds."""
    enforced: bool | None
    node_reachable: bool | None
    why: str
    """For people: what was reached, or what kept the probe from telling."""


def proof_of(message: str, at: float) -> Proof:
    """Return what the pod's last words prove."""
    try:
        found = json.loads(message)
        control, reached, node = bool(found["control"]), list(map(str, found["reached"])), list(map(str, found["node"]))
        tried, nodes_tried = int(found["tried"]), int(found["nodesTried"])
    except (ValueError, KeyError, TypeError):
        return Proof(at, None, None, "the probe left no findings behind")
    reachable = bool(node) if nodes_tried else None
    if reached:
        return Proof(at, enforced=False, node_reachable=reachable, why=f"reached {', '.join(reached[:MAX_SHOWN])}")
    if not control:
        return Proof(at, None, reachable, "the probe did not reach the gateway either, so nothing is proven")
    where = f"; reached its node at {', '.join(node[:MAX_SHOWN])}" if node else ""
    return Proof(at, enforced=True, node_reachable=reachable, why=f"{tried} ways out are closed{where}")


def holds_back(proof: Proof | None, now: float, good_for: float) -> str:
    """Say why no sandbox may start; empty when it is proven, not too long ago, that the network closes them."""
    word, pod = ObjectReason.NETWORK_POLICY_NOT_ENFORCED, f"{names.PROBE_RECORD} says what the last probe found"
    if proof is None or proof.enforced is None:
        return f"{word}: it is not proven that the network closes sandboxes: ConfigMap {pod}"
    if not proof.enforced:
        return f"{word}: a pod like a sandbox {proof.why}: the network does not enforce NetworkPolicy"
    if now > proof.at + good_for:
        return f"{word}: the last proof that the network closes sandboxes is too old: ConfigMap {pod}"
    return ""


def agent_objection(proof: Proof | None, strict: str) -> tuple[ObjectReason, str] | None:
    """Return why no run of an agent may start; `strict` is the policy that refuses access to the node, if any."""
    if proof is None:
        return None
    if proof.enforced is False:
        return ObjectReason.NETWORK_POLICY_NOT_ENFORCED, f"a pod like a sandbox {proof.why}"
    if strict and proof.enforced and proof.node_reachable is not False:
        found = "is not proven to be closed" if proof.node_reachable is None else "can be reached from sandboxes"
        return ObjectReason.NODE_REACHABLE, f"the node {found}, and Policy {strict} refuses that (sandbox.nodeAccess)"
    return None


def node_finding(proof: Proof | None) -> tuple[str, str, str] | None:
    """Return (status, reason, message) of an agent's condition NodeReachable; None while nobody knows."""
    if proof is None or proof.node_reachable is None:
        return None
    if proof.node_reachable:
        known = "sandboxes reach their own node, which the standard of NetworkPolicy allows; sandbox.nodeAccess Refuse"
        return "True", ObjectReason.NODE_REACHABLE, f"{known} in a Policy keeps runs from starting here"
    return "False", ObjectReason.NODE_CLOSED, "sandboxes do not reach their own node"


def to_record(namespace: str, proof: Proof | None) -> Manifest:
    """Return the ConfigMap that keeps the proof, and owns what the probe is made of."""
    said = {} if proof is None else _said(proof)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.PROBE_RECORD,
            "namespace": namespace,
            "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY},
        },
        "data": {_FIELD: json.dumps(said, sort_keys=True)},
    }


def _said(proof: Proof) -> Manifest:
    return {
        "at": int(proof.at),
        "enforced": proof.enforced,
        "nodeReachable": proof.node_reachable,
        "why": proof.why,
    }


def from_record(record: Mapping[str, Any] | None) -> Proof | None:
    """Return the proof that was kept; None where none is, or it cannot be read."""
    try:
        said = json.loads(((record or {}).get("data") or {})[_FIELD])
        enforced, reachable = said["enforced"], said["nodeReachable"]
        known = {enforced, reachable} <= {True, False, None}
        return Proof(float(said["at"]), enforced, reachable, str(said["why"])) if known else None
    except (ValueError, KeyError, TypeError):
        return None


def protection_of_probe(record: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """Return what must be in place before the probe: just what closes an agent's sandboxes."""
    namespace = record["metadata"]["namespace"]
    stand_in = {"metadata": {"name": names.PROBE_AGENT, "namespace": namespace, "uid": record["metadata"]["uid"]}}
    policy, account = agent_policy(stand_in, namespace), agent_account(stand_in)
    return standing_deny(namespace), _owned(policy, record), _owned(account, record)


def probe_pod(record: Mapping[str, Any], settings: SandboxSettings, targets: Mapping[str, Sequence[str]]) -> Manifest:
    """Return the probe: a sandbox like any other, that runs the harness's own attempts to get out."""
    metadata = {**record["metadata"], "name": names.PROBE_AGENT}
    pod = warm_pod({"metadata": metadata}, _SPEC, settings, mark="", name=POD_NAME)
    del pod["metadata"]["labels"][names.LABEL_WARM]
    spec = pod["spec"]
    spec["activeDeadlineSeconds"] = DEADLINE_SECONDS
    harness = spec["containers"][0]
    harness["args"] = ["probe", json.dumps({what: list(where) for what, where in targets.items()}, sort_keys=True)]
    address = {"name": "REMIT_NODE_ADDRESSES", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIPs"}}}
    harness["env"] = [*harness["env"], address]
    return _owned(pod, record)


def _owned(child: Manifest, record: Mapping[str, Any]) -> Manifest:
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": record["metadata"]["name"],
        "uid": record["metadata"]["uid"],
        "controller": True,
    }
    return {**child, "metadata": {**child["metadata"], "ownerReferences": [owner]}}


def last_words(pod: Mapping[str, Any]) -> str | None:
    """Return the message of a pod that has ended, empty where it left none; None while it has not."""
    status = pod.get("status") or {}
    if status.get("phase") not in {"Succeeded", "Failed"}:
        return None
    ended = (entry.get("state", {}).get("terminated") or {} for entry in status.get("containerStatuses") or ())
    return next((str(state["message"]) for state in ended if state.get("message")), "")


def name_servers(resolver: str) -> list[str]:
    """Return HOST:53 of each name server of a resolv.conf: those that pods of the cluster ask."""
    lines: Iterable[list[str]] = (line.split() for line in resolver.splitlines())
    hosts = [words[1].partition("%")[0] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
    return [f"[{host}]:53" if ":" in host else f"{host}:53" for host in hosts]
