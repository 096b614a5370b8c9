"""The page of names is true."""

import re
from pathlib import Path

import pytest

from remit.adapters.cel import NAMES, SAMPLE, CelEngine

PAGE = (Path(__file__).parents[3] / "docs/spec/policy-names.md").read_text()
ROWS = {row[0]: (row[1], row[2]) for row in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", PAGE, re.MULTILINE)}
EXAMPLES = PAGE.split("```cel\n")[1].split("```")[0].splitlines()


def test_every_name_stands_in_the_page() -> None:
    assert set(ROWS) == set(NAMES)


@pytest.mark.parametrize("name", ["run", "agent", "requester", "usage", "case"])
def test_every_field_stands_in_the_page(name: str) -> None:
    assert set(re.findall(r"`(\w+)`", ROWS[name][1])) == set(SAMPLE[name])


@pytest.mark.parametrize("name", list(NAMES))
def test_the_types_are_the_engines(name: str) -> None:
    kind = NAMES[name].name().lower().partition("<")[0]
    assert ("timestamp" if "timestamp" in kind else kind) == ROWS[name][0]


@pytest.mark.parametrize("expression", EXAMPLES)
def test_every_example_compiles(expression: str) -> None:
    assert CelEngine().compile(expression) is not None
