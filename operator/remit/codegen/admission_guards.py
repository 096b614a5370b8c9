"""What an admission guard is, and how it is written as a ValidatingAdmissionPolicy. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from remit.api.names import CONTROLLER_ACCOUNT, GATEWAY_ACCOUNT, INSTALL_NAMESPACE, agent_child
from remit.codegen.rbac import LABELS

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
CLEANED_UP: Final = f"(request.operation == 'DELETE' && request.userInfo.username in {list(CLEANERS)})"
NAME: Final = "(request.operation == 'DELETE' ? oldObject.metadata.name : object.metadata.name)"
OF_AN_AGENT: Final = f"{NAME}.startsWith('{agent_child('')}')"
"""The object has a name that only an agent's children have."""


@dataclass(frozen=True, slots=True)
class Check:
    """One CEL expression that must be true, and what is said when it is not."""

    expression: str
    message: str

    def manifest(self) -> Manifest:
        """Return it as the apiserver wants it."""
        return {"expression": self.expression, "message": self.message, "reason": "Forbidden"}


@dataclass(frozen=True, slots=True)
class Params:
    """Other objects that a guard looks at; judged once for each of them, not at all where there is none."""

    api_version: str
    kind: str
    name: str = ""
    """Only the one of this name; empty: each one."""
    namespace: str = ""
    """Where they are; empty: in the request's own namespace."""

    def kind_manifest(self) -> Manifest:
        """Return what the policy says of them."""
        return {"apiVersion": self.api_version, "kind": self.kind}

    def reference(self) -> Manifest:
        """Return what the binding says of them."""
        which: Manifest = {"name": self.name} if self.name else {"selector": {}}
        if self.namespace:
            which["namespace"] = self.namespace
        return {**which, "parameterNotFoundAction": "Allow"}


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
    beside: tuple[Params, ...] = ()
    """Objects that are `params`, of one kind; a binding for each."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Names for expressions that the checks use; each may use those before it."""
    also: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """(group, version, resources) of further requests that it looks at."""


def manifests_of(guard: Guard) -> list[Manifest]:
    """Return a guard's policy and its bindings."""
    if not guard.beside:
        return [policy(guard), binding("Validating", guard.name, DENY)]
    names = (guard.name, *(f"{guard.name}-{number}" for number in range(2, len(guard.beside) + 1)))
    bindings = [
        binding("Validating", guard.name, {**DENY, "paramRef": params.reference()}, name=name)
        for name, params in zip(names, guard.beside, strict=True)
    ]
    return [policy(guard), *bindings]


DENY: Final[Manifest] = {"validationActions": ["Deny"]}


def policy(guard: Guard) -> Manifest:
    """Return the ValidatingAdmissionPolicy of a guard."""
    looks_at = ((guard.group, guard.version, guard.resources), *guard.also)
    constraints = match(looks_at, guard.operations)
    if guard.labelled:
        constraints["objectSelector"] = {"matchExpressions": [{"key": guard.labelled, "operator": "Exists"}]}
    spec: Manifest = {"failurePolicy": "Fail", "matchConstraints": constraints}
    if guard.beside:
        spec["paramKind"] = guard.beside[0].kind_manifest()
    if guard.only_when:
        spec["matchConditions"] = [{"name": name, "expression": cel} for name, cel in guard.only_when]
    if guard.variables:
        spec["variables"] = [{"name": name, "expression": cel} for name, cel in guard.variables.items()]
    spec["validations"] = [check.manifest() for check in guard.checks]
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": guard.name, "labels": LABELS},
        "spec": spec,
    }


def match(looks_at: Iterable[tuple[str, str, Sequence[str]]], operations: Sequence[str]) -> Manifest:
    """Return the constraint that matches these requests."""
    rules = [
        {
            "apiGroups": [group],
            "apiVersions": [version],
            "operations": list(operations),
            "resources": list(resources),
        }
        for group, version, resources in looks_at
    ]
    return {"resourceRules": rules}


def binding(word: str, policy_name: str, more: Manifest, *, name: str = "") -> Manifest:
    """Bind a policy for the whole cluster."""
    return {
        "apiVersion": ADMISSION,
        "kind": f"{word}AdmissionPolicyBinding",
        "metadata": {"name": name or policy_name, "labels": LABELS},
        "spec": {"policyName": policy_name, **more},
    }
