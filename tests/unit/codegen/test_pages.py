"""The pages of docs/spec tell every reason, and their examples are objects that the models take."""

import re
from pathlib import Path

import pytest
import yaml

from remit.api.kinds import KINDS
from remit.api.reasons import ObjectReason, RunReason
from remit.codegen.__main__ import ROOT

PAGES = ROOT / "docs" / "spec"
MODELS = {kind.name: kind.spec for kind in KINDS}


def page(kind: str) -> str:
    """Return the page of a kind."""
    return (PAGES / f"{kind.lower()}.md").read_text()


def examples(path: Path) -> list[dict[str, object]]:
    """Return every object that a page shows."""
    blocks = re.findall(r"```yaml\n(.*?)```", path.read_text(), flags=re.DOTALL)
    return [found for block in blocks for found in yaml.safe_load_all(block)]


@pytest.mark.parametrize("reason", RunReason)
def test_the_page_of_runs_tells_every_reason_of_a_run(reason: str) -> None:
    assert f"`{reason}`" in page("AgentRun")


@pytest.mark.parametrize("reason", ObjectReason)
def test_the_pages_tell_every_reason_of_an_object(reason: str) -> None:
    assert f"`{reason}`" in "".join(page(kind) for kind in ("Agent", "ToolGrant", "Policy"))


@pytest.mark.parametrize("kind", MODELS)
def test_a_page_begins_with_an_example_that_is_taken(kind: str) -> None:
    shown = [found for found in examples(PAGES / f"{kind.lower()}.md") if found["kind"] == kind]
    assert [MODELS[kind].model_validate(found["spec"]) is not None for found in shown[:1]] == [True]


@pytest.mark.parametrize("kind", MODELS)
def test_pages_link_to_pages_that_are_there(kind: str) -> None:
    links = re.findall(r"\]\(([a-z-]+\.md)\)", page(kind))
    assert [link for link in links if not (PAGES / link).exists()] == []
