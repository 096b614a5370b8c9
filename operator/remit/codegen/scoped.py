"""Remit for one namespace: the same manifests, in which every namespace's accounts are that namespace's own. Pure.

One admin installs the kinds, the admission policies and the few rights of the whole cluster; whoever owns a
namespace installs the rest into it. The namespace that holds Remit is the one that it watches.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from remit.adapters.resources import CLUSTER_SCOPED, plural_of
from remit.api.names import INSTALL_NAMESPACE
from remit.codegen.admission import admission_manifests
from remit.codegen.needs import ACCOUNTS, EVIDENCE_READER, PEOPLE, Account, Need
from remit.codegen.rbac import (
    Manifest,
    account_object,
    binding,
    cluster_role,
    cluster_role_binding,
    people_role,
    role,
)

OF_THE_CLUSTER: Final = frozenset(plural_of(kind) for kind in CLUSTER_SCOPED)
"""Resources that no Role of a namespace can give."""
QUOTED: Final = f"'{INSTALL_NAMESPACE}'"
ACCOUNT_PREFIX: Final = "'system:serviceaccount:"


def namespaced_manifests() -> list[Manifest]:
    """Return what the owner of a namespace installs: accounts; Kubernetes lets nobody give rights that he has not."""
    return [*map(account_object, ACCOUNTS), role("remit-evidence-reader", (EVIDENCE_READER,))]


def admin_manifests() -> list[Manifest]:
    """Return what an admin installs: admission and people's roles once, and for each namespace its accounts' rights."""
    rights = [manifest for account in ACCOUNTS for manifest in (*home_rights(account), *cluster_rights(account))]
    return [*scoped(admission_manifests()), *(people_role(each) for each in PEOPLE), *rights]


def home_rights(account: Account) -> Iterator[Manifest]:
    """Yield the Role of the account, which ends with the namespace."""
    within = tuple(need for need in account.everywhere if not of_the_cluster(need))
    yield role(account.name, (*within, *account.at_home))
    yield binding(account.name)


def cluster_rights(account: Account) -> Iterator[Manifest]:
    """Yield the ClusterRole of what no Role can give, bound to the one account; its own Namespace is the only one."""
    name = f"{account.name}-in-{INSTALL_NAMESPACE}"
    needs = [
        replace(need, names=(INSTALL_NAMESPACE,)) if "namespaces" in need.resources else need
        for need in account.everywhere
        if of_the_cluster(need)
    ]
    if needs:
        yield cluster_role(name, needs)
        yield cluster_role_binding(name, account.name)


def of_the_cluster(need: Need) -> bool:
    """Tell whether a need is about things that belong to no namespace."""
    about = {resource.partition("/")[0] in OF_THE_CLUSTER for resource in need.resources}
    if len(about) != 1:
        raise ValueError(f"{need.resources}: one row is either about the cluster's things or about a namespace's")
    return about == {True}


def scoped(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Return admission policies that take the accounts of the request's namespace for Remit's."""
    return [_scoped(manifest) for manifest in manifests]


def _scoped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _scoped(entry) for key, entry in value.items() if (key, entry) != _HOME}
    if isinstance(value, list):
        return [_scoped(entry) for entry in value]
    return scoped_text(value) if isinstance(value, str) else value


_HOME: Final = ("namespace", INSTALL_NAMESPACE)
"""Of a parameter: without it, the one in the request's own namespace is meant."""


def scoped_text(text: str) -> str:
    """Return a CEL expression, or a message, with the request's namespace in place of the installation's."""
    by_account = f"{ACCOUNT_PREFIX}{INSTALL_NAMESPACE}:"
    return (
        text.replace(by_account, f"{ACCOUNT_PREFIX}' + request.namespace + ':")
        .replace(QUOTED, "request.namespace")
        .replace(INSTALL_NAMESPACE, "the same namespace")
    )
