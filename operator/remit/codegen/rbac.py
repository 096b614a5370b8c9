"""Makes accounts, roles and bindings from the table of needs. Pure."""

from collections.abc import Iterable
from typing import Any

from remit.api.meta import GROUP
from remit.api.names import INSTALL_NAMESPACE
from remit.codegen.needs import ACCOUNTS, EVIDENCE_READER, PEOPLE, Account, Need, PeopleRole

Manifest = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
LABELS = {"app.kubernetes.io/part-of": "remit"}


def rbac_manifests() -> list[Manifest]:
    """Return every account, role and binding, in the order to apply."""
    return [
        *(manifest for account in ACCOUNTS for manifest in account_manifests(account)),
        *(people_role(role) for role in PEOPLE),
        role("remit-evidence-reader", (EVIDENCE_READER,)),
    ]


def account_manifests(account: Account) -> list[Manifest]:
    """Return the account with its roles, bound."""
    made = [
        account_object(account),
        cluster_role(account.name, account.everywhere),
        cluster_role_binding(account.name, account.name),
    ]
    if account.at_home:
        made += [role(account.name, account.at_home), binding(account.name)]
    return made


def account_object(account: Account) -> Manifest:
    """Return the ServiceAccount."""
    home = {"name": account.name, "namespace": INSTALL_NAMESPACE, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": home}


def cluster_role(name: str, needs: Iterable[Need]) -> Manifest:
    """Return a ClusterRole."""
    metadata = {"name": name, "labels": LABELS}
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules(needs)}


def cluster_role_binding(name: str, account: str) -> Manifest:
    """Bind the ClusterRole of that name to the account, everywhere."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": LABELS},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": INSTALL_NAMESPACE}],
    }


def role(name: str, needs: Iterable[Need]) -> Manifest:
    """Return a Role of the install namespace."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": INSTALL_NAMESPACE, "labels": LABELS},
        "rules": rules(needs),
    }


def binding(account: str) -> Manifest:
    """Bind the Role of an account's name to the account."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": account, "namespace": INSTALL_NAMESPACE, "labels": LABELS},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": INSTALL_NAMESPACE}],
    }


def people_role(role: PeopleRole) -> Manifest:
    """Return a ClusterRole that Kubernetes adds to its own roles for people."""
    joins = {f"{RBAC}/aggregate-to-{name}": "true" for name in role.joins}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": role.name, "labels": {**LABELS, **joins}},
        "rules": rules(role.needs),
    }


def rules(needs: Iterable[Need]) -> list[Manifest]:
    """Return the policy rules."""
    return [
        {
            "apiGroups": [need.group],
            "resources": list(need.resources),
            **({"resourceNames": list(need.names)} if need.names else {}),
            "verbs": list(need.verbs),
        }
        for need in needs
    ]


def writable_status(accounts: Iterable[Account] = ACCOUNTS) -> tuple[str, ...]:
    """Return the kinds' status subresources that any of the accounts may write."""
    found = {
        resource
        for account in accounts
        for need in account.everywhere
        if need.group == GROUP
        for resource in need.resources
        if resource.endswith("/status")
    }
    return tuple(sorted(found))
