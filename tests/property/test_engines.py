"""The engines in use say what others say: drift shows here."""

from typing import Any

import cel as other_cel
import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from remit.adapters.cel import SAMPLE, CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.ports import RuleError

TEXT = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=6)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), TEXT)
ARGUMENTS = st.fixed_dictionaries(
    {"amount": st.integers(-1000, 1000), "note": TEXT, "tags": st.lists(TEXT, max_size=4)},
    optional={"flag": st.booleans(), "inner": st.fixed_dictionaries({"deep": SCALARS})},
)
EXPRESSIONS = (
    "arguments.amount <= 100 && arguments.amount > -100",
    "arguments.amount % 2 == 0 || arguments.note == 'a'",
    "has(arguments.flag) && arguments.flag",
    "has(arguments.inner) && has(arguments.inner.deep)",
    "arguments.note.startsWith('a') || arguments.note.endsWith('b') || arguments.note.contains('c')",
    "arguments.note.matches('^[a-z]+$')",
    "size(arguments.tags) < 3 && arguments.tags.all(tag, tag != '')",
    "arguments.tags.exists(tag, tag == arguments.note)",
    "arguments.note in arguments.tags",
    "arguments.note in ['a', 'b', 'c']",
    "size(arguments.tags.filter(tag, size(tag) > 1)) == 1",
    "arguments.tags.map(tag, size(tag)).exists(length, length > 2)",
    "(arguments.amount > 0 ? arguments.note : 'none') != ''",
    "purpose == 'sample' && risk in ['ReadOnly'] && !duplicate",
    "run.attempt == 1 && requester.groups.size() == 0 && case.id == ''",
    "-arguments.amount < 10 && arguments.amount * 2 - 1 != 7",
    "arguments.flag",
    "arguments.inner.deep == 1",
)


@given(st.sampled_from(EXPRESSIONS), ARGUMENTS)
def test_two_engines_of_cel_agree(expression: str, arguments: dict[str, Any]) -> None:
    variables = {**SAMPLE, "arguments": arguments}
    assert said(expression, variables) is said_by_the_other(expression, variables)


def said(expression: str, variables: dict[str, Any]) -> bool | None:
    """Return what our engine says, None for an error."""
    try:
        return CelEngine().compile(expression).evaluate(variables)
    except RuleError:
        return None


def said_by_the_other(expression: str, variables: dict[str, Any]) -> bool | None:
    """Return what the Rust engine says, None for an error or another type."""
    try:
        value = other_cel.evaluate(expression, variables)
    except (ValueError, RuntimeError, TypeError, KeyError):
        return None
    return value if isinstance(value, bool) else None


LEAVES = st.one_of(
    st.sampled_from([{}, True, False, {"type": "string"}, {"type": ["integer", "null"]}, {"type": "object"}]),
    st.builds(lambda n: {"minimum": n}, st.integers(-3, 3)),
    st.builds(lambda n: {"maxLength": n}, st.integers(0, 3)),
    st.builds(lambda v: {"const": v}, SCALARS),
    st.builds(lambda v: {"enum": v}, st.lists(SCALARS, min_size=1, max_size=3, unique_by=repr)),
    st.sampled_from([{"pattern": "^a"}, {"uniqueItems": True}, {"minItems": 1}, {"multipleOf": 2}]),
)
NAMES = st.sampled_from(["a", "b", "c"])
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda s: {"items": s}, inner),
        st.builds(lambda s: {"not": s}, inner),
        st.builds(lambda s: {"allOf": s}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda s: {"anyOf": s}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda s: {"oneOf": s}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, inner, inner, inner),
        st.builds(
            lambda p, r, more: {"properties": p, "required": r, "additionalProperties": more},
            st.dictionaries(NAMES, inner, max_size=3),
            st.lists(NAMES, max_size=2, unique=True),
            inner,
        ),
        st.builds(lambda s: {"contains": s}, inner),
        st.builds(lambda s: {"prefixItems": s}, st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=8,
).filter(lambda schema: isinstance(schema, dict))
REFERRING = st.builds(lambda s: {"$defs": {"x": s}, "properties": {"a": {"$ref": "#/$defs/x"}}}, SCHEMAS)
INSTANCES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


@given(st.one_of(SCHEMAS, REFERRING), INSTANCES)
def test_two_engines_of_json_schema_agree(schema: dict[str, Any], instance: Any) -> None:
    expected = jsonschema.Draft202012Validator(schema).is_valid(instance)
    assert (JsonSchemaEngine().compile(schema).violation(instance) is None) is expected
