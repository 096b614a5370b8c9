"""Writes the tables of docs/spec/rights.md from the needs and the guards. Pure."""

from collections.abc import Iterable

from remit.codegen.admission import GUARDS
from remit.codegen.docs import with_section
from remit.codegen.needs import ACCOUNTS, PEOPLE, Account, Need

CORE = "core"


def with_rights(page: str) -> str:
    """Return the page with all its tables as they should be."""
    page = with_section(page, "accounts", "\n".join(account_table(account) for account in ACCOUNTS))
    page = with_section(page, "people", people_table())
    return with_section(page, "admission", admission_table())


def account_table(account: Account) -> str:
    """Return what one account may do, and why."""
    rows = [*rows_of(account.everywhere, "everywhere"), *rows_of(account.at_home, "install namespace")]
    return "\n".join([f"**{account.name}**\n", "| where | resources | verbs | why |", "|---|---|---|---|", *rows, ""])


def rows_of(needs: Iterable[Need], where: str) -> list[str]:
    """Return a row for each need."""
    return [f"| {where} | {resources(need)} | {', '.join(need.verbs)} | {need.why} |" for need in needs]


def resources(need: Need) -> str:
    """Return the resources of a need with their group."""
    named = f" named {', '.join(need.names)}" if need.names else ""
    return f"{', '.join(need.resources)} ({need.group or CORE}){named}"


def people_table() -> str:
    """Return what roles for people add."""
    head = ["| role | adds to | resources | verbs | why |", "|---|---|---|---|---|"]
    rows = [
        f"| {role.name} | {', '.join(role.joins)} | {resources(need)} | {', '.join(need.verbs)} | {need.why} |"
        for role in PEOPLE
        for need in role.needs
    ]
    return "\n".join([*head, *rows, ""])


def admission_table() -> str:
    """Return what each guard looks at and says."""
    head = ["| policy | looks at | says |", "|---|---|---|"]
    rows = [
        f"| {guard.name} | {', '.join(guard.operations)} of {', '.join(guard.resources)} | "
        f"{'; '.join(check.message for check in guard.checks)} |"
        for guard in GUARDS
    ]
    return "\n".join([*head, *rows, ""])
