"""Draws transition tables into docs/spec, as Mermaid state diagrams. Pure."""

from collections.abc import Iterable

from remit.api.agent import LIFECYCLE_CHANGES, Lifecycle
from remit.codegen.docs import with_section

AGENT_PAGE = "docs/spec/agent.md"


def state_diagram(first: str, changes: Iterable[tuple[str, str]], last: Iterable[str]) -> str:
    """Return a diagram: where things begin, what may become what, and where they end."""
    lines = [f"[*] --> {first}", *(f"{before} --> {after}" for before, after in changes)]
    lines += [f"{state} --> [*]" for state in last]
    return "```mermaid\nstateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines) + "```\n"


def with_lifecycle(page: str) -> str:
    """Return the page of agents with their life drawn."""
    changes = [(str(before), str(after)) for before, allowed in LIFECYCLE_CHANGES.items() for after in allowed]
    last = [str(state) for state, allowed in LIFECYCLE_CHANGES.items() if not allowed]
    return with_section(page, "lifecycle", state_diagram(Lifecycle.DRAFT, changes, last))
