"""An agent's life: one table, which the CRD's rule, the drawing and the controller all take from one place."""

import itertools
from typing import Any

import pytest

from remit.adapters.cel import CelEngine
from remit.api.agent import LIFECYCLE_CHANGES, LIFECYCLE_RULE, Lifecycle
from remit.codegen.diagrams import state_diagram, with_lifecycle
from remit.core.lifecycles import lifecycle_of, may_become

EVERY = list(itertools.product(Lifecycle, Lifecycle))
ALLOWED = {
    ("Draft", "Active"),
    ("Draft", "Retired"),
    ("Active", "Suspended"),
    ("Active", "Retired"),
    ("Suspended", "Active"),
    ("Suspended", "Retired"),
}


def an_agent(lifecycle: str, reason: str = "") -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": reason}
    return {"spec": {"lifecycle": lifecycle}, "status": {"conditions": [ready] if reason else []}}


def test_the_table_is_total_and_retired_is_final() -> None:
    assert set(LIFECYCLE_CHANGES) == set(Lifecycle)
    assert LIFECYCLE_CHANGES[Lifecycle.RETIRED] == ()
    assert not any(Lifecycle.DRAFT in after for after in LIFECYCLE_CHANGES.values())


@pytest.mark.parametrize(("before", "after"), EVERY)
def test_what_may_become_what(before: Lifecycle, after: Lifecycle) -> None:
    assert may_become(before, after) is (before is after or (before, after) in ALLOWED)


def test_the_rule_of_the_crd_says_the_same() -> None:
    names = {match for pair in ALLOWED for match in pair}
    rule = LIFECYCLE_RULE["rule"]
    for before, after in EVERY:
        text = rule.replace("oldSelf.lifecycle", f"'{before}'").replace("self.lifecycle", f"'{after}'")
        assert CelEngine().compile(text).evaluate({}) is may_become(before, after), (before, after)
    assert names == set(Lifecycle)


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_an_agent_is_where_its_spec_says(lifecycle: Lifecycle) -> None:
    assert lifecycle_of(an_agent(lifecycle)) is lifecycle
    assert lifecycle_of(an_agent(lifecycle, "Suspended")) is lifecycle


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_an_agent_that_was_seen_retired_stays_so(lifecycle: Lifecycle) -> None:
    assert lifecycle_of(an_agent(lifecycle, "Retired")) is Lifecycle.RETIRED


def test_the_life_is_drawn_where_the_page_says() -> None:
    page = with_lifecycle("before\n<!-- generated: lifecycle -->\nold\n<!-- end -->\nafter\n")
    assert page.startswith("before\n<!-- generated: lifecycle -->\n```mermaid\nstateDiagram-v2\n    [*] --> Draft\n")
    assert all(f"    {before} --> {after}\n" in page for before, after in ALLOWED)
    assert page.endswith("    Retired --> [*]\n```\n<!-- end -->\nafter\n")
    assert state_diagram("a", [("a", "b")], ["b"]).count("-->") == 3
