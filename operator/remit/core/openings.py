"""What would open a sandbox though all that closes it is in place: others' NetworkPolicies, others' changes to its pod.

Policies add up, so the standing deny cannot take them back. Admission refuses new ones where the standing deny is; one
that was there before it was never asked about. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from remit.api.names import LABEL_QUARANTINE, agent_child

_OUTSIDE: Final = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "ephemeralContainers")
_HOSTS: Final = (*_OUTSIDE, "initContainers", "resourceClaims", "resources")
"""What takes a pod, or the token of its sidecar, out of its walls."""
NETWORK_ANNOTATIONS: Final = [
    "k8s.v1.cni.cncf.io/networks",
    "v1.multus-cni.io/default-network",
    "container.apparmor.security.beta.kubernetes.io/",
]
"""Beginnings of annotations by which a pod gets a further network, that no NetworkPolicy closes, or loses a profile."""
LABELS_OF_NODES: Final = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
"""Kubernetes gives them to a pod once it has a node: nobody knows their values before."""
_DEFAULTED: Final = frozenset(
    {"imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy", "resources", "restartPolicy"}
)
"""Fields of a container that Kubernetes fills in; whatever else was not asked for reaches out."""

Labels = Mapping[str, str]


def opening(policies: Iterable[Mapping[str, Any]], labels: Labels, ours: Collection[str]) -> str:
    """Return the name of a policy that opens pods with these labels; empty when none does but `ours`."""
    found = (policy["metadata"]["name"] for policy in policies if _opens(policy.get("spec") or {}, labels))
    return next((name for name in found if name not in ours), "")


def stray(pod: Mapping[str, Any], agent: str) -> str:
    """Say why a pod is no sandbox of the agent, whoever made it and whatever admission let in; empty when it is one."""
    spec, account = pod.get("spec") or {}, agent_child(agent)
    if spec.get("serviceAccountName", account) != account:
        return f"the pod runs as {spec['serviceAccountName']}, which is not the account of agent {agent}"
    if outside := next((field for field in _OUTSIDE if spec.get(field)), ""):
        return f"the pod has {outside}: it is no sandbox"
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    if any((each.get("securityContext") or {}).get("privileged") for each in containers):
        return "a container of the pod is privileged: it is no sandbox"
    return ""


def is_widened(wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    """Tell whether a pod that holds all that is wanted holds more that opens it: a webhook may have added it.

    Any other label could be what someone's NetworkPolicy selects.
    """
    labels = (seen["metadata"].get("labels") or {}).keys() - (wanted["metadata"].get("labels") or {}).keys()
    notes = seen["metadata"].get("annotations") or {}
    if labels - {LABEL_QUARANTINE, *LABELS_OF_NODES} or any(map(_is_of_networks, notes)):
        return True
    own, found = wanted["spec"], seen["spec"]
    if any(found.get(field) for field in _HOSTS if not own.get(field)):
        return True
    inner = ("securityContext", "dnsConfig")
    if any(_has_more(own.get(field) or {}, found.get(field) or {}) for field in inner if own.get(field)):
        return True
    return any(_is_wider(mine, other) for mine, other in _containers(own, found))


def _is_of_networks(annotation: str) -> bool:
    return annotation.startswith(tuple(NETWORK_ANNOTATIONS))


def _has_more(wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    return any(seen[field] for field in seen.keys() - wanted.keys())


def _containers(
    wanted: Mapping[str, Any], seen: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for field in ("initContainers", "containers"):
        yield from zip(wanted.get(field) or (), seen.get(field) or (), strict=True)


def _is_wider(wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    own, found = wanted.get("securityContext") or {}, seen.get("securityContext") or {}
    powers = found.get("capabilities") or {}
    if found.keys() - own.keys() or powers.keys() - (own.get("capabilities") or {}).keys():
        return True
    limits, more = _limits(wanted), _limits(seen)
    mounts = zip(wanted.get("volumeMounts") or (), seen.get("volumeMounts") or (), strict=False)
    return (
        bool(more.keys() - limits.keys())
        or any(seen[field] for field in seen.keys() - wanted.keys() - _DEFAULTED)
        or any(_has_more(one, other) for one, other in mounts)
    )


def _limits(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return (container.get("resources") or {}).get("limits") or {}


def _opens(spec: Mapping[str, Any], labels: Labels) -> bool:
    return bool(spec.get("ingress") or spec.get("egress")) and _selects(spec.get("podSelector") or {}, labels)


def _selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    wanted, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or ()
    return all(labels.get(key) == value for key, value in wanted.items() if key not in LABELS_OF_NODES) and all(
        _meets(expression, labels) for expression in expressions if expression["key"] not in LABELS_OF_NODES
    )


def _meets(expression: Mapping[str, Any], labels: Labels) -> bool:
    """Tell whether labels meet an expression; of one whose operator nobody knows, the worst is believed."""
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return True
