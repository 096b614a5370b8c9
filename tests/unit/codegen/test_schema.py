"""From pydantic's JSON Schema to a structural one: each rewriter, and what cannot be said."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from remit.api.kinds import KINDS, Kind
from remit.api.meta import ApiModel
from remit.codegen.crd import crd, object_schema
from remit.codegen.lint import walk
from remit.codegen.schema import SchemaError, structural


class Inner(ApiModel):
    """An inner object."""

    count: Annotated[int, Field(ge=0, lt=10)] = 3
    """How many."""


class Plain(ApiModel):
    """An inner object without defaults."""

    word: str | None = None


class Outer(ApiModel):
    """Everything that is rewritten."""

    word: Annotated[str, Field(max_length=5)] | None = None
    """A word."""
    only: Literal["One"] = "One"
    inner: Inner = Inner()
    plain: Plain = Plain()
    """What the field says wins over what the class says."""
    exact: Annotated[int, Field(gt=1, le=5)]
    labels: dict[str, str] = Field(default={}, max_length=2)
    words: list[str] = Field(default=[])
    text: str = ""
    switch: bool = False


class Either(ApiModel):
    """A union."""

    value: str | int


class Tree(ApiModel):
    """A recursion."""

    below: "Tree | None" = None


SCHEMA = structural(Outer)["properties"]


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("word", {"type": "string", "maxLength": 5, "description": "A word."}),
        ("only", {"type": "string", "enum": ["One"], "default": "One"}),
        ("exact", {"type": "integer", "format": "int64", "minimum": 2, "maximum": 5}),
        ("labels", {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}}),
        ("words", {"type": "array", "items": {"type": "string"}}),
        ("text", {"type": "string"}),
        ("switch", {"type": "boolean", "default": False}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_is_rewritten(field: str, wanted: dict[str, Any]) -> None:
    assert SCHEMA[field] == wanted


def test_an_object_whose_fields_have_defaults_is_filled_in() -> None:
    count = {
        "type": "integer",
        "format": "int64",
        "minimum": 0,
        "maximum": 9,
        "default": 3,
        "description": "How many.",
    }
    wanted = {"type": "object", "description": "An inner object.", "default": {}, "properties": {"count": count}}
    assert SCHEMA["inner"] == wanted


def test_an_object_without_defaults_is_left_absent() -> None:
    assert "default" not in SCHEMA["plain"]
    assert SCHEMA["plain"]["description"] == "What the field says wins over what the class says."


@pytest.mark.parametrize(
    ("model", "words"),
    [(Either, "a union of 2 types"), (Tree, "Tree contains itself")],
    ids=["union", "recursion"],
)
def test_what_no_structural_schema_can_say_is_an_error(model: type[ApiModel], words: str) -> None:
    with pytest.raises(SchemaError) as caught:
        structural(model)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_a_crd_that_passes_the_lint(kind: Kind) -> None:
    made = crd(kind)
    assert made["metadata"]["name"] == f"{kind.plural}.remit.dev"
    assert made["spec"]["versions"][0]["subresources"] == {"status": {}}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_object_is_not_current_before_its_first_visit(kind: Kind) -> None:
    assert object_schema(kind)["properties"]["status"]["default"] == {"observedGeneration": -1}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_nothing_in_status_is_required_at_the_top(kind: Kind) -> None:
    # Two writers apply their own parts of it; neither can give the other's.
    assert "required" not in object_schema(kind)["properties"]["status"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_and_selectable_fields_exist(kind: Kind) -> None:
    known = {path.removeprefix(kind.name) for path, _ in walk(kind.name, object_schema(kind))}
    used = [column.path for column in kind.columns if column.path.startswith((".spec", ".status"))]
    plain = {path.partition("[?")[0] for path in used} | set(kind.selectable)
    assert plain - known == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_titles_of_columns_are_one_word(kind: Kind) -> None:
    assert [column.title for column in kind.columns if not column.title.isupper() or " " in column.title] == []


REQUIRED_LEST_ABSENCE_WIDENS = {
    "Agent": {"purposes"},
    "ToolGrant": {"agents", "purposes", "tools[].risk", "tools[].inputSchema", "tools[].constraints"},
    "Policy": {
        "rules",
        "budgets",
        *(f"rules[].{field}" for field in ("tools", "risks", "when", "effect")),
        *(f"budgets[].{field}" for field in ("costMicroUSD", "tokens", "toolCalls", "wallClockSeconds")),
    },
    "AgentRun": {"agent", "purpose"},
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_fields_whose_absence_would_widen_authority_are_required(kind: Kind) -> None:
    spec = object_schema(kind)["properties"]["spec"]
    assert REQUIRED_LEST_ABSENCE_WIDENS[kind.name] - set(required(spec, "")) == set()


def required(node: dict[str, Any], prefix: str) -> list[str]:
    """Return the paths of every required field at or below a node."""
    found = [f"{prefix}{name}" for name in node.get("required", [])]
    for name, child in node.get("properties", {}).items():
        inner, mark = (child["items"], "[].") if "items" in child else (child, ".")
        found += required(inner, f"{prefix}{name}{mark}")
    return found
