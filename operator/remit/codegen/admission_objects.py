"""Guards of Remit's own kinds, of what an agent owns, and of the words that are reserved. Pure."""

from typing import Final

from remit.api.kinds import KINDS
from remit.api.meta import API_VERSION, GROUP, VERSION
from remit.api.names import DENY_POLICY, INSTALL_NAMESPACE, LABEL_QUARANTINE, LABEL_SANDBOX
from remit.codegen.admission_guards import (
    BY_CONTROLLER,
    BY_GATEWAY,
    CLEANED_UP,
    NAME,
    OF_AN_AGENT,
    Check,
    Guard,
    Params,
)
from remit.codegen.needs import GATEWAY
from remit.codegen.rbac import writable_status

REQUESTER: Final = Guard(
    "remit-run-requester",
    GROUP,
    VERSION,
    ("agentruns",),
    ("CREATE",),
    (
        Check(
            "has(object.spec.requester) && object.spec.requester.username == request.userInfo.username"
            " && (has(object.spec.requester.uid) ? object.spec.requester.uid : '')"
            " == (has(request.userInfo.uid) ? request.userInfo.uid : '')"
            " && (has(object.spec.requester.groups) ? object.spec.requester.groups : [])"
            " == (has(request.userInfo.groups) ? request.userInfo.groups : [])",
            "spec.requester must be the authenticated user: leave it out, it is stamped",
        ),
    ),
)

GATEWAYS: Final = [
    resource.removesuffix("/status")
    for need in GATEWAY.everywhere
    for resource in need.resources
    if need.group == GROUP and resource.endswith("/status")
]
"""Kinds of whose status the gateway writes a part."""
STATUS: Final = Guard(
    "remit-status-writers",
    GROUP,
    VERSION,
    writable_status(),
    ("UPDATE",),
    (
        Check(
            f"{BY_CONTROLLER} || ({BY_GATEWAY} && request.resource.resource in {GATEWAYS})",
            "status is written by Remit's controller and gateway only",
        ),
    ),
)

FLOOR: Final = Guard(
    "remit-policy-floor",
    GROUP,
    VERSION,
    ("policies",),
    ("CREATE", "UPDATE"),
    (
        Check(
            f"!has(object.spec.namespaceSelector) || request.namespace == '{INSTALL_NAMESPACE}'",
            f"spec.namespaceSelector is for policies of namespace {INSTALL_NAMESPACE} only: the platform's floor",
        ),
    ),
)


def kept(field: str, exempt: str) -> str:
    """Return the CEL that is true while no reserved label or annotation is set, changed or taken away."""
    new, old = f"object.metadata.{field}", f"oldObject.metadata.{field}"
    reserved = f"!k.startsWith('{GROUP}/') || k == '{exempt}'"
    same = f"has({old}) && k in {old} && {new}[k] == {old}[k]"
    left = f"has({new}) && k in {new}"
    return (
        f"(!has({new}) || {new}.all(k, {reserved} || (oldObject != null && {same})))"
        f" && (oldObject == null || !has({old}) || {old}.all(k, {reserved} || ({left})))"
    )


def has_label(thing: str) -> str:
    """Return the CEL that is true when the object has the sandbox's label."""
    return f"has({thing}.metadata.labels) && '{LABEL_SANDBOX}' in {thing}.metadata.labels"


RESERVED: Final = Guard(
    "remit-reserved-labels",
    GROUP,
    VERSION,
    tuple(kind.plural for kind in KINDS),
    ("CREATE", "UPDATE"),
    (
        Check(
            f"{BY_CONTROLLER} || {BY_GATEWAY} || ({kept('labels', LABEL_QUARANTINE)})",
            f"labels of {GROUP}/ are reserved: Remit's own accounts set, change and remove them",
        ),
    ),
    only_when=(
        (
            "not-a-sandbox",  # of a sandbox's labels its own guard says more
            f"!({has_label('object')}) && !(oldObject != null && {has_label('oldObject')})",
        ),
    ),
    also=(
        ("", "v1", ("pods", "serviceaccounts")),
        ("apps", "v1", ("controllerrevisions",)),
        ("networking.k8s.io", "v1", ("networkpolicies",)),
    ),
)


def unchanged(field: str) -> str:
    """Return the CEL that is true while a field that may be absent is as it was."""
    new, old = f"object.{field}", f"oldObject.{field}"
    return f"(has({new}) == has({old}) && (!has({new}) || {new} == {old}))"


KEPT_OF_ACCOUNTS: Final = (
    "metadata.labels",
    "metadata.annotations",
    "metadata.ownerReferences",
    "automountServiceAccountToken",
    "secrets",
)
OWN_PULL_SECRETS: Final = f"(request.operation == 'UPDATE' && {' && '.join(map(unchanged, KEPT_OF_ACCOUNTS))})"
"""Pull secrets of a private registry are the namespace's: they reach the kubelet, never the pod."""

ACCOUNTS: Final = Guard(
    "remit-agent-children",
    "",
    "v1",
    ("serviceaccounts",),
    ("CREATE", "UPDATE", "DELETE"),
    (
        Check(
            f"{BY_CONTROLLER} || {CLEANED_UP} || {OWN_PULL_SECRETS}",
            "account: this one is an agent's: only Remit's controller may change it, but for its imagePullSecrets",
        ),
        Check(
            "request.operation == 'DELETE' || (has(object.automountServiceAccountToken)"
            " && !object.automountServiceAccountToken && !has(object.secrets))",
            "account: an agent's account mounts no token and names no secret",
        ),
        Check(
            "request.operation == 'DELETE' || !has(object.metadata.annotations)"
            " || object.metadata.annotations.all(k, !k.contains('amazonaws.com/') && !k.contains('gke.io/')"
            " && !k.contains('azure.workload.identity/'))",
            "account: an agent's account has no identity at a cloud: its pod would be given that one's token",
        ),
    ),
    only_when=(("of-an-agent", OF_AN_AGENT),),
)

ITS_POD: Final = (
    "(request.operation == 'CREATE'"
    f" || (has(oldObject.metadata.labels) && '{LABEL_SANDBOX}' in oldObject.metadata.labels))"
)
OWN_HANDS: Final = Guard(
    "remit-controller-hands",
    "",
    "v1",
    ("pods", "serviceaccounts"),
    ("CREATE", "UPDATE", "DELETE"),
    (
        Check(
            f"request.resource.resource == 'pods' ? {ITS_POD} : ({OF_AN_AGENT} || {NAME} == '{DENY_POLICY}')",
            "hands: Remit's controller changes and deletes sandboxes and what it made for agents, and nothing else",
        ),
    ),
    only_when=(("by-the-controller", BY_CONTROLLER),),
    also=(("apps", "v1", ("controllerrevisions",)), ("networking.k8s.io", "v1", ("networkpolicies",))),
)

REVISIONS: Final = Guard(
    "remit-agent-revisions",
    "apps",
    "v1",
    ("controllerrevisions",),
    ("CREATE", "UPDATE", "DELETE"),
    (
        Check(
            f"{BY_CONTROLLER} || {CLEANED_UP}",
            "this revision is what an agent was granted: only Remit's controller makes it, and takes it away",
        ),
    ),
    only_when=(("of-an-agent", OF_AN_AGENT),),
)

PINNED: Final = "object.spec.runtime.container.image.matches('@sha256:[0-9a-f]{64}$')"
SANDBOX: Final = "has(object.spec.sandbox) && has(object.spec.sandbox"
CHOSEN: Final = (
    "(!has(params.spec.agents)"
    " || (has(params.spec.agents.names) ? object.metadata.name in params.spec.agents.names"
    " : (has(params.spec.agents.matchLabels) && params.spec.agents.matchLabels.all(k, has(object.metadata.labels)"
    " && k in object.metadata.labels && object.metadata.labels[k] == params.spec.agents.matchLabels[k]))))"
)
HOLDS: Final = (
    "(params.metadata.namespace == request.namespace || (has(params.spec.namespaceSelector)"
    " && params.spec.namespaceSelector.all(k, has(namespaceObject.metadata.labels)"
    " && k in namespaceObject.metadata.labels"
    " && namespaceObject.metadata.labels[k] == params.spec.namespaceSelector[k])))"
)
TOUCHED: Final = (
    "(oldObject == null || object.spec.runtime != oldObject.spec.runtime"
    " || has(object.spec.sandbox) != has(oldObject.spec.sandbox)"
    " || (has(object.spec.sandbox) && object.spec.sandbox != oldObject.spec.sandbox))"
)
"""A floor that was raised since keeps nobody from suspending the agent."""


def floor(field: str, holds: str) -> str:
    """Return the CEL that is true when the policy has no such floor, or the agent is above it."""
    return (
        f"!variables.concerned || !has(params.spec.sandbox) || !has(params.spec.sandbox.{field})"
        f" || ({holds.replace('FLOOR', f'params.spec.sandbox.{field}')})"
    )


SANDBOX_FLOOR: Final = Guard(
    "remit-sandbox-floor",
    GROUP,
    VERSION,
    ("agents",),
    ("CREATE", "UPDATE"),
    (
        Check(
            floor("images", f"FLOOR != 'Digest' || !has(object.spec.runtime.container) || {PINNED}"),
            "spec.runtime.container.image must be named by digest (NAME@sha256:...): a Policy asks for it",
        ),
        Check(
            floor("runtimeClassNames", f"{SANDBOX}.runtimeClassName) && object.spec.sandbox.runtimeClassName in FLOOR"),
            "spec.sandbox.runtimeClassName must be one of those that a Policy allows (sandbox.runtimeClassNames)",
        ),
        Check(
            floor("maxCPUMillis", f"!({SANDBOX}.cpuMillis)) || object.spec.sandbox.cpuMillis <= FLOOR"),
            "spec.sandbox.cpuMillis is more than a Policy allows (sandbox.maxCPUMillis)",
        ),
        Check(
            floor("maxMemoryMiB", f"!({SANDBOX}.memoryMiB)) || object.spec.sandbox.memoryMiB <= FLOOR"),
            "spec.sandbox.memoryMiB is more than a Policy allows (sandbox.maxMemoryMiB)",
        ),
    ),
    beside=(Params(API_VERSION, "Policy"), Params(API_VERSION, "Policy", namespace=INSTALL_NAMESPACE)),
    variables={"concerned": f"{CHOSEN} && {HOLDS} && {TOUCHED}"},
)

OBJECT_GUARDS: Final = (REQUESTER, STATUS, FLOOR, SANDBOX_FLOOR, RESERVED, ACCOUNTS, OWN_HANDS, REVISIONS)
