"""JSON Schema behind its port: the place and the fault in one line, and no value in it."""

from typing import Any

import pytest

from remit.adapters.schemas import JsonSchemaEngine
from remit.ports import InvalidSchemaError

ENGINE = JsonSchemaEngine()
PLANTED = "planted-4711"


@pytest.mark.parametrize(
    ("schema", "instance", "line"),
    [
        ({"required": ["a"]}, {}, 'arguments: "a" is a required property'),
        ({"properties": {"a": {"type": "string"}}}, {"a": 12}, 'arguments.a: the value is not of type "string"'),
        ({"properties": {"a": {"items": {"maximum": 3}}}}, {"a": [1, 9]}, "arguments.a.1: the value is greater than"),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            {"y": PLANTED, "x": 2},
            "arguments: unexpected: x, y",
        ),
        ({"unevaluatedProperties": False}, {"x": PLANTED}, "arguments: unexpected: x"),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, {"a": PLANTED}, 'arguments.a: the value is not one of "x"'),
        ({"properties": {"a": {"const": "x"}}}, {"a": PLANTED}, 'arguments.a: "x" was expected'),
        ({"properties": {"a": {"pattern": "^x"}}}, {"a": PLANTED}, 'arguments.a: the value does not match "^x"'),
        ({"properties": {"a": {"maxLength": 3}}}, {"a": PLANTED}, "arguments.a: the value is longer than 3"),
        ({"properties": {"a": {"anyOf": [{"type": "null"}]}}}, {"a": PLANTED}, "arguments.a: the value is not valid"),
        ({"properties": {"a": {"oneOf": [{}, {}]}}}, {"a": PLANTED}, "arguments.a: the value is valid under more"),
        ({"properties": {"a": {"not": {}}}}, {"a": PLANTED}, "arguments.a: {} is not allowed for the value"),
        ({"properties": {"a": False}}, {"a": PLANTED}, "arguments.a: False schema does not allow the value"),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [PLANTED] * 2}, "arguments.a: the value has non-unique"),
        ({"properties": {"a": {"contains": {"const": 1}}}}, {"a": [PLANTED]}, "arguments.a: None of the value"),
        ({"propertyNames": {"maxLength": 2}}, {PLANTED: 1}, "arguments: a name of a property is not allowed"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, 'arguments: "b" is a required property'),
        ({"properties": {"a": {"multipleOf": 2}}}, {"a": 3}, "arguments.a: the value is not a multiple of 2"),
    ],
)
def test_a_violation_names_the_place_and_the_fault(schema: Any, instance: Any, line: str) -> None:
    violation = ENGINE.compile(schema).violation(instance)
    assert violation is not None
    assert violation.startswith(line)
    assert PLANTED not in violation
    assert "\n" not in violation
    assert len(violation) <= 500


def test_what_satisfies_a_schema_has_no_violation() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert ENGINE.compile(schema).violation({"a": 1.0}) is None


def test_a_line_is_short_whatever_the_names() -> None:
    violation = ENGINE.compile({"additionalProperties": False}).violation({"x" * 1000 + str(n): 1 for n in range(9)})
    assert violation is not None
    assert len(violation) <= 500


def test_a_pattern_is_matched_in_linear_time() -> None:
    compiled = ENGINE.compile({"properties": {"a": {"pattern": "^(a+)+$"}}})
    assert compiled.violation({"a": "a" * 100_000 + "b"}) is not None


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "wrong"}, "/type: "),
        ({"properties": {"a": {"minimum": "1"}}}, "/properties/a/minimum: "),
        ({"pattern": "("}, "/pattern: "),
        ({"pattern": r"^[\w-]{1,100000}$"}, "regex"),
        ({"$ref": "#/$defs/none"}, "is not a schema in the document"),
        ({"items": [{}]}, "/items: "),
    ],
)
def test_a_bad_schema_is_refused_with_its_place(schema: Any, fault: str) -> None:
    with pytest.raises(InvalidSchemaError) as caught:
        ENGINE.compile(schema)
    assert fault in str(caught.value)


def test_a_value_too_deep_for_a_branching_schema_is_a_violation() -> None:
    node = {"allOf": [{"properties": {"c": {"$ref": "#/$defs/n"}}}] * 4}
    value: Any = {}
    for _ in range(30):
        value = {"c": value}
    violation = ENGINE.compile({"$defs": {"n": node}, "$ref": "#/$defs/n"}).violation(value)
    assert violation is not None
    assert "nested deeper than" in violation


@pytest.mark.parametrize("instance", [{"a": {1, 2}}, {"a": b"bytes"}, {1: 2}])
def test_what_is_not_json_is_a_violation(instance: Any) -> None:
    violation = ENGINE.compile({"properties": {"a": {"type": "string"}}, "additionalProperties": False}).violation(
        instance
    )
    assert violation is not None


def test_an_equal_schema_is_compiled_once() -> None:
    assert ENGINE.compile({"a": 1, "type": "object"}) is ENGINE.compile({"type": "object", "a": 1})
