"""What Remit's accounts really asked of the apiserver, from its audit log, beside what they were given."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remit.api.names import INSTALL_NAMESPACE
from remit.codegen.needs import ACCOUNTS, Account, Need

REFUSED = 403
STANDS_FOR = {("patch", True): ("patch", "create")}
"""A patch that makes the object (server-side apply) is judged by the apiserver as a creation too."""


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that an account did, or tried to."""

    account: str
    verb: str
    group: str
    resource: str
    refusal: str = ""
    """Why it was refused; empty where it was not."""

    @property
    def is_too_late(self) -> bool:
        """Whether nobody may do it any more: the namespace is on its way out, which no watch tells at once."""
        return "because it is being terminated" in self.refusal

    def text(self) -> str:
        """Say it in few words."""
        return f"{self.account}: {self.verb} {self.resource} ({self.group or 'core'}) {self.refusal}".rstrip()


def uses(log: Path) -> set[Use]:
    """Read what the audit log holds of our accounts, files that were turned over included."""
    files = sorted(log.parent.glob(f"{log.stem}*{log.suffix}"))
    return {use for file in files for line in file.read_text().splitlines() for use in _uses_in(line)}


def _uses_in(line: str) -> Iterator[Use]:
    prefix = f"system:serviceaccount:{INSTALL_NAMESPACE}:"
    if prefix not in line:
        return
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:  # the last line may still be on its way
        return
    user, target = event["user"]["username"], event.get("objectRef")
    if not user.startswith(prefix) or target is None:
        return
    resource = "/".join(filter(None, (target.get("resource", ""), target.get("subresource", ""))))
    answer = event.get("responseStatus", {})
    code = answer.get("code", 0)
    refusal = answer.get("message") or "forbidden" if code == REFUSED else ""
    made = event["verb"] == "patch" and code == 201
    for verb in STANDS_FOR.get((event["verb"], made), (event["verb"],)):
        yield Use(user.removeprefix(prefix), verb, target.get("apiGroup", ""), resource, refusal)


def given(accounts: Iterable[Account] = ACCOUNTS) -> Iterator[tuple[Use, Need]]:
    """Yield every verb on every resource that an account was given, with its row of the table."""
    for account in accounts:
        for need in (*account.everywhere, *account.at_home):
            for resource in need.resources:
                for verb in need.verbs:
                    yield Use(account.name, verb, need.group, resource), need
