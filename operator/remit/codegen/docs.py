"""Writes the field tables of docs/spec from the schemas. Pure."""

from collections.abc import Iterator
from typing import Any

from remit.api.kinds import Kind
from remit.codegen.crd import object_schema

Node = dict[str, Any]
SECTIONS = ("spec", "status")


class MarkerError(ValueError):
    """A page has no place for a generated table."""


def with_tables(kind: Kind, page: str) -> str:
    """Return the page of a kind with its tables of spec and status as they should be."""
    properties = object_schema(kind)["properties"]
    for section in SECTIONS:
        page = with_section(page, section, table(properties[section]))
    return page


def with_section(page: str, section: str, text: str) -> str:
    """Return the page with what stands between the markers of a section rewritten."""
    begin, end = f"<!-- generated: {section} -->\n", "<!-- end -->\n"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise MarkerError(f"a page of docs/spec needs {begin.strip()} and {end.strip()}")
    return before + begin + text + end + after


def table(schema: Node) -> str:
    """Return the Markdown table of a section."""
    lines = ["| field | type | description |", "|---|---|---|"]
    lines += [f"| `{path}` | {kind_of(node, need)} | {text(node)} |" for path, node, need in fields(schema, "")]
    return "\n".join(lines) + "\n"


def fields(schema: Node, prefix: str) -> Iterator[tuple[str, Node, bool]]:
    """Yield each field below a node with its path and whether it is required."""
    for name, child in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, child, name in schema.get("required", [])
        inner = child.get("items", child)
        if "properties" in inner:
            yield from fields(inner, f"{path}{'[]' if inner is not child else ''}.")


def kind_of(node: Node, required: bool) -> str:  # noqa: FBT001 - a column's word
    """Return type, bounds and default in a few words."""
    words = [base_type(node), *bounds(node)]
    if required:
        words.append("**required**")
    if node.get("default") not in (None, {}):
        words.append(
            f"default `{node['default']}`".lower() if node["type"] == "boolean" else f"default `{node['default']}`"
        )
    return ", ".join(words)


def base_type(node: Node) -> str:
    """Return the type as a person would say it."""
    if "enum" in node:
        return " \\| ".join(f"`{value}`" for value in node["enum"])
    if node["type"] == "array":
        return f"list of {base_type(node['items'])}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"map of {base_type(node['additionalProperties'])}"
    if node.get("format") == "date-time":
        return "time"
    return "free-form object" if "x-kubernetes-preserve-unknown-fields" in node else str(node["type"])


def bounds(node: Node) -> Iterator[str]:
    """Yield what bounds the value."""
    if "maximum" in node:
        yield f"{node['minimum']} to {node['maximum']}"
    if "maxLength" in node and node.get("format") != "date-time":
        yield f"≤ {node['maxLength']} characters"
    for key, word in (("maxItems", "entries"), ("maxProperties", "keys")):
        if key in node:
            yield f"≤ {node[key]} {word}"


def text(node: Node) -> str:
    """Return the description, and the rules that CEL checks, in one line."""
    said = " ".join(node.get("description", "").split())
    rules = [rule["message"] for rule in node.get("x-kubernetes-validations", [])]
    return " ".join([said, *(f"*{rule}.*" for rule in rules)]).replace("|", "\\|")
