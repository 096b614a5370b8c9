"""Which JSON Schemas are safe to run on what an untrusted agent sends."""

from typing import Any

import pytest

from remit.core.engines import InvalidSchemaError
from remit.core.schema import DIALECT, MAX_INSTANCE_DEPTH, check_schema, depth_of


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def fan(width: int) -> dict[str, Any]:
    node = {"allOf": [{"properties": {"c": {"$ref": "#/$defs/n"}}}] * width}
    return {"$defs": {"n": node}, "$ref": "#/$defs/n"}


LAUGHS: dict[str, Any] = {
    "$defs": {**{f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 3} for n in range(15)}, "a15": {}},
    "$ref": "#/$defs/a0",
}


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        pytest.param({"$ref": "http://elsewhere.example/x"}, "/$ref: points out of the document", id="url"),
        pytest.param({"$ref": "other.json#/a"}, "/$ref: points out of the document", id="file"),
        pytest.param({"$ref": 1}, "/$ref: points out of the document", id="a number"),
        pytest.param({"$ref": "#/$defs/none"}, "is not a schema in the document", id="dangling"),
        pytest.param({"$ref": "#nowhere"}, "is not a schema in the document", id="dangling anchor"),
        pytest.param({"$ref": "#"}, "$ref leads back to itself", id="itself"),
        pytest.param(
            {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}},
            "$ref leads back to itself",
            id="a loop of two",
        ),
        pytest.param(LAUGHS, "references multiply", id="a billion laughs"),
        pytest.param(fan(200), "recursion branches too widely", id="branching recursion"),
        pytest.param(nested(40), "nested deeper than 32", id="deep"),
        pytest.param({"description": "x" * 33_000}, "is larger than", id="large"),
        pytest.param({"maximum": 2**70}, "is not JSON", id="a number that no reader keeps"),
        pytest.param({"pattern": "a(?=b)"}, "look-around", id="look-ahead"),
        pytest.param({"properties": {"a": {"pattern": "(?<!b)a"}}}, "look-around", id="look-behind"),
        pytest.param({"pattern": r"(a)\1"}, "back references", id="back reference"),
        pytest.param({"patternProperties": {r"(a)\1": {}}}, "back references", id="in a name's pattern"),
        pytest.param({"$dynamicRef": "#a"}, "/$dynamicRef: is not supported", id="dynamic"),
        pytest.param({"dependencies": {}}, "/dependencies: is not supported", id="of an older draft"),
        pytest.param({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema: only", id="draft 7"),
        pytest.param({"$schema": 5}, "$schema: only", id="a number for a dialect"),
        pytest.param({"$schema": []}, "$schema: only", id="a list for a dialect"),
        pytest.param({"properties": {"a": {"$id": "x"}}}, "may stand at the top only", id="another base"),
        pytest.param({"allOf": {}}, "/allOf: is not a list", id="no list"),
        pytest.param({"properties": []}, "/properties: is not an object", id="no object"),
        pytest.param({"$anchor": 5}, "/$anchor: is not an anchor", id="no anchor"),
    ],
)
def test_an_unsafe_schema_is_refused_with_its_place(schema: Any, fault: str) -> None:
    with pytest.raises(InvalidSchemaError) as caught:
        check_schema(schema)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({}, id="empty"),
        pytest.param({"$schema": DIALECT, "$id": "https://example.com/x", "type": "object"}, id="named"),
        pytest.param({"properties": {"$ref": {"type": "string"}}}, id="a property called $ref"),
        pytest.param({"properties": {"a/b": {}}, "$defs": {"x": {"$ref": "#/properties/a~1b"}}}, id="escapes"),
        pytest.param({"$defs": {"a": {"$anchor": "here"}}, "items": {"$ref": "#here"}}, id="anchor"),
        pytest.param({"definitions": {"a": True}, "items": {"$ref": "#/definitions/a"}}, id="the older word"),
        pytest.param({"pattern": r"\\1 (?:a|b)"}, id="an escaped backslash"),
        pytest.param({"const": {"$ref": "http://x"}}, id="data that looks like a reference"),
    ],
)
def test_a_safe_schema_is_taken(schema: Any) -> None:
    assert check_schema(schema).instance_depth == MAX_INSTANCE_DEPTH


def test_a_list_of_itself_is_taken() -> None:
    assert check_schema({"properties": {"next": {"$ref": "#"}}}).instance_depth == MAX_INSTANCE_DEPTH


def test_the_wider_recursion_branches_the_flatter_values_must_be() -> None:
    depths = [check_schema(fan(width)).instance_depth for width in (1, 2, 4, 8)]
    assert depths[0] == MAX_INSTANCE_DEPTH
    assert depths == sorted(depths, reverse=True)
    assert depths[-1] < 8


@pytest.mark.parametrize(
    ("value", "depth"), [(1, 0), ("[[", 0), ({}, 1), ([], 1), ({"a": {}}, 2), ([[], [[1]]], 3), ({"a": 1}, 1)]
)
def test_depth_counts_containers(value: Any, depth: int) -> None:
    assert depth_of(value) == depth
