"""The table of needs: least privilege, with a reason in every row."""

import pytest

from remit.adapters.resources import plural_of
from remit.codegen.needs import ACCOUNTS, CONTROLLER, EVIDENCE_READER, FOLLOW, GATEWAY, PEOPLE, Account, Need
from remit.codegen.rbac import rbac_manifests
from remit.controller import kinds as controllers
from remit.gateway import store as gateways

ROWS = [
    *(need for account in ACCOUNTS for need in (*account.everywhere, *account.at_home)),
    *(need for role in PEOPLE for need in role.needs),
    EVIDENCE_READER,
]
OF_ACCOUNTS = [need for account in ACCOUNTS for need in (*account.everywhere, *account.at_home)]


def name_of(need: Need) -> str:
    """Return the id of a row."""
    return f"{need.group}:{','.join(need.resources)}"


@pytest.mark.parametrize("need", ROWS, ids=name_of)
def test_no_row_is_wider_than_it_says(need: Need) -> None:
    words = (need.group, *need.resources, *need.verbs)
    assert "*" not in words
    assert "secrets" not in need.resources
    assert len(need.why) > 10


@pytest.mark.parametrize("need", OF_ACCOUNTS, ids=name_of)
def test_no_account_escalates(need: Need) -> None:
    assert not {"bind", "escalate", "impersonate", "deletecollection"} & set(need.verbs)
    assert not any(name.startswith(("roles", "clusterroles", "rolebindings")) for name in need.resources)


def test_accounts_write_nothing_of_what_people_ask_for() -> None:
    asked = [
        (resource, verb)
        for need in OF_ACCOUNTS
        if need.group == "remit.dev"
        for resource in need.resources
        if not resource.endswith("/status")
        for verb in need.verbs
    ]
    assert {verb for _, verb in asked} <= {"get", "list", "watch"}


def test_only_roles_of_the_install_namespace_are_bound_there() -> None:
    bound = {
        (manifest["kind"], manifest["roleRef"]["kind"], manifest["roleRef"]["name"])
        for manifest in rbac_manifests()
        if manifest["kind"].endswith("Binding")
    }
    assert bound == {
        ("ClusterRoleBinding", "ClusterRole", "remit-controller"),
        ("RoleBinding", "Role", "remit-controller"),
        ("ClusterRoleBinding", "ClusterRole", "remit-gateway"),
        ("RoleBinding", "Role", "remit-gateway"),
    }


def readable(account: Account) -> set[tuple[str, str]]:
    """Return what an account may read everywhere."""
    return {
        (need.group, name) for need in account.everywhere if set(FOLLOW) <= set(need.verbs) for name in need.resources
    }


def test_the_controller_reads_what_it_watches_and_no_more() -> None:
    assert readable(CONTROLLER) == {(watched.group, watched.plural) for watched in controllers.WATCHED}


def test_the_gateway_reads_what_it_watches_and_no_more() -> None:
    watched = {(kind.api_version.rpartition("/")[0], plural_of(kind.name)) for kind in gateways.WATCHED}
    assert readable(GATEWAY) == watched
