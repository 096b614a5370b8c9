"""Makes the admission policies: CEL in the apiserver, no webhook. Pure.

They guard what the CRDs cannot see: who asks. What they check is checked again by the controller and the gateway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from remit.api.meta import API_VERSION, GROUP, VERSION
from remit.api.names import (
    CONTROLLER_ACCOUNT,
    DENY_POLICY,
    GATEWAY_ACCOUNT,
    INSTALL_NAMESPACE,
    LABEL_AGENT,
    LABEL_MANAGED_BY,
    LABEL_QUARANTINE,
    LABEL_RUN,
    LABEL_SANDBOX,
    TOKEN_AUDIENCE,
    agent_child,
)
from remit.codegen.rbac import LABELS, writable_status
from remit.core.openings import LABELS_OF_NODES

Manifest = dict[str, Any]
ADMISSION: Final = "admissionregistration.k8s.io/v1"


def account_user(account: str, namespace: str = INSTALL_NAMESPACE) -> str:
    """Return the user name of a service account."""
    return f"system:serviceaccount:{namespace}:{account}"


CONTROLLER: Final = account_user(CONTROLLER_ACCOUNT)
GATEWAY: Final = account_user(GATEWAY_ACCOUNT)
CLEANERS: Final = (
    account_user("namespace-controller", "kube-system"),
    account_user("generic-garbage-collector", "kube-system"),
)
"""Kubernetes' own: a namespace or an owner that goes takes its policies along."""
BY_CONTROLLER: Final = f"request.userInfo.username == '{CONTROLLER}'"
BY_GATEWAY: Final = f"request.userInfo.username == '{GATEWAY}'"
FOR_AN_AGENT: Final = (
    f"request.name.startsWith('{agent_child('')}') && has(object.spec.audiences)"
    f" && '{TOKEN_AUDIENCE}' in object.spec.audiences"
)
SANDBOX_KEYS: Final = [
    LABEL_SANDBOX,
    LABEL_AGENT,
    LABEL_RUN,
    LABEL_QUARANTINE,
    LABEL_MANAGED_BY,
    *LABELS_OF_NODES,
]
"""All labels that a sandbox can have: a selector that asks for another one cannot mean a sandbox."""
LEAVES_SANDBOXES_OUT: Final = (
    "(has(object.spec.podSelector.matchLabels)"
    f" && object.spec.podSelector.matchLabels.exists(k, !(k in {SANDBOX_KEYS})))"
    " || (has(object.spec.podSelector.matchExpressions)"
    " && object.spec.podSelector.matchExpressions.exists(e,"
    f" (e.key == '{LABEL_SANDBOX}' && e.operator == 'DoesNotExist')"
    f" || (!(e.key in {SANDBOX_KEYS}) && e.operator in ['In', 'Exists'])))"
)
OPENS: Final = (
    "(has(object.spec.ingress) && object.spec.ingress.size() > 0)"
    " || (has(object.spec.egress) && object.spec.egress.size() > 0)"
)
NAME: Final = "(request.operation == 'DELETE' ? oldObject.metadata.name : object.metadata.name)"


CONTAINERS: Final = ("containers", "initContainers")


def keeps_images(field: str) -> str:
    """Return the CEL that is true while no image in the list changes: nothing else about a container can."""
    old = f"oldObject.spec.{field}.exists(o, o.name == c.name && o.image == c.image)"
    return f"(!has(object.spec.{field}) || object.spec.{field}.all(c, {old}))"


@dataclass(frozen=True, slots=True)
class Check:
    """One CEL expression that must be true, and what is said when it is not."""

    expression: str
    message: str

    def manifest(self) -> Manifest:
        """Return it as the apiserver wants it."""
        return {"expression": self.expression, "message": self.message, "reason": "Forbidden"}


@dataclass(frozen=True, slots=True)
class Guard:
    """One ValidatingAdmissionPolicy with its binding."""

    name: str
    group: str
    version: str
    resources: tuple[str, ...]
    operations: tuple[str, ...]
    checks: tuple[Check, ...]
    only_when: tuple[tuple[str, str], ...] = ()
    """(name, CEL): requests for which one is false are none of its business."""
    labelled: str = ""
    """Only objects that carry this label, or did."""
    beside: str = ""
    """Only in namespaces that hold a NetworkPolicy of this name."""
    of_each_run: bool = False
    """Judged once for every AgentRun of the request's namespace, which is `params`."""


GUARDS: Final = (
    Guard(
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
    ),
    Guard(
        "remit-status-writers",
        GROUP,
        VERSION,
        writable_status(),
        ("UPDATE",),
        (
            Check(
                f"{BY_CONTROLLER} || ({BY_GATEWAY} && request.resource.resource != 'agents')",
                "status is written by Remit's controller and gateway only",
            ),
        ),
    ),
    Guard(
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
    ),
    Guard(
        "remit-sandbox-pods",
        "",
        "v1",
        ("pods",),
        ("CREATE", "UPDATE"),
        (
            Check(
                f"request.operation != 'CREATE' || {BY_CONTROLLER}",
                f"label {LABEL_SANDBOX} is for pods that Remit's controller makes",
            ),
            Check(
                f"request.operation != 'UPDATE' || {BY_CONTROLLER}"
                " || (has(object.metadata.labels) && has(oldObject.metadata.labels)"
                " && oldObject.metadata.labels.all(k, k in object.metadata.labels"
                " && object.metadata.labels[k] == oldObject.metadata.labels[k])"
                f" && object.metadata.labels.all(k, k in oldObject.metadata.labels || k == '{LABEL_QUARANTINE}'))",
                f"labels of a sandbox are its controller's: others may add {LABEL_QUARANTINE}, nothing else",
            ),
            Check(
                f"request.operation != 'UPDATE' || {BY_CONTROLLER} || ({' && '.join(map(keeps_images, CONTAINERS))})",
                "images of a sandbox are its controller's: another one would act in the run's name",
            ),
            Check(
                f"request.operation != 'UPDATE' || {BY_CONTROLLER} || request.userInfo.username in {list(CLEANERS)}"
                " || (has(object.metadata.ownerReferences) && has(oldObject.metadata.ownerReferences)"
                " && object.metadata.ownerReferences == oldObject.metadata.ownerReferences)"
                " || (!has(object.metadata.ownerReferences) && !has(oldObject.metadata.ownerReferences))",
                "the owner of a sandbox is its run: without it nobody would take the sandbox down",
            ),
        ),
        labelled=LABEL_SANDBOX,
    ),
    Guard(
        "remit-sandbox-debug",
        "",
        "v1",
        ("pods/ephemeralcontainers",),
        ("UPDATE",),
        (Check("false", "a container added to a sandbox would act in the run's name"),),
        labelled=LABEL_SANDBOX,
    ),
    Guard(
        "remit-sandbox-visits",
        "",
        "v1",
        ("pods/exec", "pods/attach", "pods/portforward", "pods/proxy"),
        ("CONNECT",),
        (
            Check(
                "!has(params.status) || !has(params.status.pod) || params.status.pod.name != request.name",
                "whoever is inside a sandbox acts in its run's name: read its logs and evidence instead",
            ),
        ),
        of_each_run=True,
    ),
    Guard(
        "remit-network-policies",
        "networking.k8s.io",
        "v1",
        ("networkpolicies",),
        ("CREATE", "UPDATE", "DELETE"),
        (
            Check(
                f"{BY_CONTROLLER} || (request.operation == 'DELETE' && request.userInfo.username in {list(CLEANERS)})",
                "this NetworkPolicy closes sandboxes: only Remit's controller may change it",
            ),
        ),
        only_when=(("remit-policy", f"{NAME} == '{DENY_POLICY}' || {NAME}.startsWith('{agent_child('')}')"),),
    ),
    Guard(
        "remit-sandbox-openings",
        "networking.k8s.io",
        "v1",
        ("networkpolicies",),
        ("CREATE", "UPDATE"),
        (
            Check(
                f"{BY_CONTROLLER} || !({OPENS}) || {LEAVES_SANDBOXES_OUT}",
                f"policies add up, and this one would open sandboxes: exclude them by {LABEL_SANDBOX} DoesNotExist",
            ),
        ),
        beside=DENY_POLICY,
    ),
    Guard(
        "remit-sandbox-tokens",
        "",
        "v1",
        ("serviceaccounts/token",),
        ("CREATE",),
        (
            Check(
                "'system:nodes' in request.userInfo.groups",
                f"tokens of audience {TOKEN_AUDIENCE} are for the pods of runs: only their node may ask for one",
            ),
        ),
        only_when=(("agent-for-gateway", FOR_AN_AGENT),),
    ),
)


def admission_manifests() -> list[Manifest]:
    """Return every admission policy with its binding, in the order to apply."""
    made = stamp_manifests()
    for guard in GUARDS:
        more: Manifest = {"validationActions": ["Deny"]}
        if guard.beside:
            more["paramRef"] = {"name": guard.beside, "parameterNotFoundAction": "Allow"}
        if guard.of_each_run:
            more["paramRef"] = {"selector": {}, "parameterNotFoundAction": "Allow"}
        made += [policy(guard), policy_binding("Validating", guard.name, more)]
    return made


def policy(guard: Guard) -> Manifest:
    """Return the ValidatingAdmissionPolicy of a guard."""
    constraints = match(guard.group, guard.version, guard.resources, guard.operations)
    if guard.labelled:
        constraints["objectSelector"] = {"matchExpressions": [{"key": guard.labelled, "operator": "Exists"}]}
    spec: Manifest = {"failurePolicy": "Fail", "matchConstraints": constraints}
    if guard.beside:
        spec["paramKind"] = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    if guard.of_each_run:
        spec["paramKind"] = {"apiVersion": API_VERSION, "kind": "AgentRun"}
    if guard.only_when:
        spec["matchConditions"] = [{"name": name, "expression": cel} for name, cel in guard.only_when]
    spec["validations"] = [check.manifest() for check in guard.checks]
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": guard.name, "labels": LABELS},
        "spec": spec,
    }


def match(group: str, version: str, resources: Sequence[str], operations: Sequence[str]) -> Manifest:
    """Return the constraint that matches these requests."""
    rule = {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": list(operations),
        "resources": list(resources),
    }
    return {"resourceRules": [rule]}


def stamp_manifests() -> list[Manifest]:
    """Return the MutatingAdmissionPolicy that writes the authenticated user into a new run."""
    name = "remit-run-requester"
    who = (
        '{"username": dyn(request.userInfo.username),'
        ' "uid": dyn(has(request.userInfo.uid) ? request.userInfo.uid : ""),'
        ' "groups": dyn(has(request.userInfo.groups) ? request.userInfo.groups : [])}'
    )
    stamp = f'[JSONPatch{{op: "add", path: "/spec/requester", value: {who}}}]'
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": match(GROUP, VERSION, ("agentruns",), ("CREATE",)),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": stamp}}],
    }
    return [
        {
            "apiVersion": ADMISSION,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name, "labels": LABELS},
            "spec": spec,
        },
        policy_binding("Mutating", name, {}),
    ]


def policy_binding(word: str, name: str, more: Manifest) -> Manifest:
    """Bind a policy for the whole cluster."""
    return {
        "apiVersion": ADMISSION,
        "kind": f"{word}AdmissionPolicyBinding",
        "metadata": {"name": name, "labels": LABELS},
        "spec": {"policyName": name, **more},
    }
