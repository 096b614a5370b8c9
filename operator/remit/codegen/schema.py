"""Turns pydantic's JSON Schema into the structural schema that the apiserver takes. Pure."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from remit.api.meta import ApiModel

Node = dict[str, Any]
Rewrite = Callable[[Node], Node]

NOISE = ("title", "examples", "discriminator", "deprecated", "readOnly", "writeOnly")


class SchemaError(ValueError):
    """A model says something that a structural schema cannot say."""


def structural(model: type[ApiModel]) -> Node:
    """Return the structural schema of a model."""
    raw = model.model_json_schema(by_alias=True)
    definitions = raw.pop("$defs", {})
    return rewrite(inline_refs(raw, definitions, ()))


def inline_refs(node: Any, definitions: Node, seen: tuple[str, ...]) -> Any:
    """Put each definition where it is used; what stands beside the reference wins over the definition."""
    if isinstance(node, list):
        return [inline_refs(item, definitions, seen) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: inline_refs(value, definitions, seen) for key, value in node.items()}
    name = node["$ref"].rpartition("/")[2]
    if name in seen:
        raise SchemaError(f"{name} contains itself: {' > '.join((*seen, name))}")
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return inline_refs({**deepcopy(definitions[name]), **beside}, definitions, (*seen, name))


def rewrite(node: Node) -> Node:
    """Apply every rewriter to a node, then go down."""
    for step in REWRITES:
        node = step(node)
    if "properties" in node:
        node["properties"] = {name: rewrite(child) for name, child in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = rewrite(node[key])
    return drop_empty_default(node)


def drop_null(node: Node) -> Node:
    """`anyOf [X, null]` is X that may be absent: nothing is nullable."""
    if "anyOf" not in node:
        return node
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) != 1:
        raise SchemaError(f"a union of {len(options)} types: make one optional field per variant")
    beside = {key: value for key, value in node.items() if key != "anyOf"}
    return {**options[0], **beside}


def drop_null_default(node: Node) -> Node:
    """A default of null is no default; nulls inside a default are absent fields."""
    if "default" not in node:
        return node
    rest = {key: value for key, value in node.items() if key != "default"}
    return rest if node["default"] is None else {**rest, "default": without_nulls(node["default"])}


def without_nulls(value: Any) -> Any:
    """Return the value without members that are null."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    return value


def const_to_enum(node: Node) -> Node:
    """`const` is an enum of one."""
    if "const" not in node:
        return node
    rest = {key: value for key, value in node.items() if key != "const"}
    return {**rest, "enum": [node["const"]]}


def drop_noise(node: Node) -> Node:
    """Leave out what structural schemas do not know."""
    return {key: value for key, value in node.items() if key not in NOISE}


def open_objects(node: Node) -> Node:
    """The apiserver prunes or refuses unknown fields itself; free-form objects say so in its own words."""
    extra = node.get("additionalProperties")
    if isinstance(extra, bool):
        return {key: value for key, value in node.items() if key != "additionalProperties"}
    return node


def openapi3_bounds(node: Node) -> Node:
    """JSON Schema's exclusive bounds are numbers, OpenAPI 3.0's are booleans; whole numbers need neither."""
    bounds = (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1))
    for exclusive, inclusive, step in bounds:
        if exclusive in node:
            node = {key: value for key, value in node.items() if key != exclusive} | {inclusive: node[exclusive] + step}
    return node


def int64(node: Node) -> Node:
    """Whole numbers say their width."""
    return {**node, "format": "int64"} if node.get("type") == "integer" else node


def map_bounds(node: Node) -> Node:
    """The apiserver forbids maxProperties on an object of fixed fields, and minProperties says nothing there."""
    if "properties" in node:
        return {key: value for key, value in node.items() if key not in {"maxProperties", "minProperties"}}
    return node


def drop_empty_default(node: Node) -> Node:
    """An empty default only puts noise into stored objects; absent means the same.

    An object keeps `{}` where its own fields have defaults, so that these are filled in.
    """
    default = node.get("default")
    if isinstance(default, dict) and "properties" in node:
        filled = any("default" in child for child in node["properties"].values())
        return {**node, "default": {}} if filled else {k: v for k, v in node.items() if k != "default"}
    if default in ("", [], {}):
        return {key: value for key, value in node.items() if key != "default"}
    return node


REWRITES: tuple[Rewrite, ...] = (
    drop_null,
    drop_null_default,
    const_to_enum,
    drop_noise,
    open_objects,
    openapi3_bounds,
    int64,
    map_bounds,
)
