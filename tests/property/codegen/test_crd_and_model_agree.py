"""Two judges of the same object: the pydantic model and the CRD's schema never differ on the shape of a spec."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from remit.api.kinds import KINDS, Kind
from remit.codegen.crd import object_schema

Node = dict[str, Any]
FORMATS = FormatChecker(formats=())
TEXTS = (
    *("", "a", "resolver", "Card Dispute", "a.b", "x" * 64, "*", "grant/tool", "https://bank.example/mcp"),
    *("2027-01-31T00:00:00Z", "2027-02-30T00:00:00Z", "tomorrow", f"sha256:{'a' * 64}", "ü", "X-Key"),
)
WILD: dict[type, st.SearchStrategy[Any]] = {
    str: st.sampled_from(TEXTS),
    int: st.sampled_from([-1, 0, 1, 2**31, 2**53]),
    list: st.just([]),
}
"""Values of the right type that may be out of bounds."""


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    """Tell whether a text is a moment, as the apiserver sees it."""
    return not isinstance(value, str) or datetime.fromisoformat(value) is not None


def values(node: Node) -> st.SearchStrategy[Any]:
    """Return values that a node may take."""
    match node["type"]:
        case "object":
            return objects(node)
        case "array":
            return st.lists(values(node["items"]), min_size=node.get("minItems", 0), max_size=2)
        case "string":
            judge = Draft202012Validator(node, format_checker=FORMATS)
            return st.sampled_from(node.get("enum") or [text for text in TEXTS if judge.is_valid(text)])
        case "integer":
            return st.integers(node["minimum"], node["maximum"])
        case _:
            return st.booleans()


def objects(node: Node) -> st.SearchStrategy[Any]:
    """Return objects with all required and some other fields."""
    if "properties" in node:
        fields = {name: values(child) for name, child in node["properties"].items()}
        need = set(node.get("required", []))
        return st.fixed_dictionaries(
            {name: strategy for name, strategy in fields.items() if name in need},
            optional={name: strategy for name, strategy in fields.items() if name not in need},
        )
    least = node.get("minProperties", 0)
    if "additionalProperties" in node:
        inner = values(node["additionalProperties"])
        return st.dictionaries(st.sampled_from(["team", "tier"]), inner, min_size=least, max_size=2)
    anything = st.none() | st.booleans() | st.integers() | st.sampled_from(TEXTS)
    return st.dictionaries(st.sampled_from(["a", "b"]), anything, max_size=2)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a value."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@st.composite
def bent(draw: st.DrawFn, right: st.SearchStrategy[Any]) -> Any:
    """Return an object whose shape is right but for at most one value."""
    spec = draw(right)
    container, key = draw(st.sampled_from(places(spec)))
    container[key] = draw(WILD.get(type(container[key]), st.just(container[key])))
    return spec


def accepted(kind: Kind, spec: Any) -> bool:
    """Tell whether the model takes the spec."""
    try:
        kind.spec.model_validate(spec)
    except ValidationError:
        return False
    return True


SCHEMAS = {kind.name: object_schema(kind)["properties"]["spec"] for kind in KINDS}
JUDGES = {name: Draft202012Validator(schema, format_checker=FORMATS) for name, schema in SCHEMAS.items()}
RIGHT = {name: values(schema) for name, schema in SCHEMAS.items()}
BENT = {name: bent(strategy) for name, strategy in RIGHT.items()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_model_and_schema_take_and_refuse_the_same_specs(kind: Kind, data: st.DataObject) -> None:
    spec = data.draw(BENT[kind.name])
    assert accepted(kind, spec) == JUDGES[kind.name].is_valid(spec)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_what_the_model_writes_the_schema_takes(kind: Kind, data: st.DataObject) -> None:
    written = kind.spec.model_validate(data.draw(RIGHT[kind.name])).to_json()
    assert [error.message for error in JUDGES[kind.name].iter_errors(written)] == []
