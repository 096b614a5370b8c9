"""The API lint: what every schema of ours must keep, after the rules of Kubernetes' API conventions. Pure."""

from collections.abc import Callable, Iterator
from typing import Any

Node = dict[str, Any]

KEYWORDS = frozenset(
    {
        "additionalProperties",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    }
)
UNDESCRIBED = ("apiVersion", "kind", "metadata")
"""The apiserver's own; it describes them itself."""
DURATION_WORDS = ("timeout", "duration", "ttl", "interval", "deadline")

EXCEPTIONS: dict[str, str] = {
    "ToolGrant.spec.suspended": "a switch that a person flips in an emergency; a third state would be `expired`",
    "AgentRun.spec.input": "what the agent works on is the user's; the gateway bounds its bytes",
    "AgentRun.status.result": "what the agent hands in is the user's shape; the gateway bounds its bytes",
    "AgentRun.status.partial": "as the result",
    "Agent.spec.loop.outputSchema": "a JSON Schema is open by nature; compiled and bounded by core",
    "ToolGrant.spec.tools[].inputSchema": "a JSON Schema is open by nature; compiled and bounded by core",
}
"""Paths that may be boolean or free-form, each with its reason."""


def violations(kind: str, schema: Node) -> list[str]:
    """Return every broken rule as `path: what`."""
    return [
        f"{path}: {complaint}"
        for path, node in walk(kind, schema)
        for rule in RULES
        if (complaint := rule(path, node)) is not None
    ]


def walk(path: str, node: Node) -> Iterator[tuple[str, Node]]:
    """Yield every node below an object's root, with its path; the apiserver's own fields are left out."""
    for name, child in node.get("properties", {}).items():
        below = f"{path}.{name}"
        if "." not in path and name in UNDESCRIBED:
            continue
        yield below, child
        yield from walk(below, child)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(node.get(key), dict):
            yield f"{path}{mark}", node[key]
            yield from walk(f"{path}{mark}", node[key])


def unknown_keyword(path: str, node: Node) -> str | None:
    extra = sorted(set(node) - KEYWORDS)
    return f"unknown keywords {extra}" if extra else None


def untyped(path: str, node: Node) -> str | None:
    known = {"object", "array", "string", "integer", "boolean"}
    return None if node.get("type") in known else f"type {node.get('type')!r}; no floats, no unions"


def undescribed(path: str, node: Node) -> str | None:
    entry = path.endswith(("[]", "{}"))
    return None if entry or node.get("description") else "no description"


def unbounded_string(path: str, node: Node) -> str | None:
    if node.get("type") != "string" or "enum" in node or "maxLength" in node:
        return None
    return "a string without maxLength"


def unbounded_list(path: str, node: Node) -> str | None:
    if node.get("type") != "array":
        return None
    missing = [key for key in ("maxItems", "x-kubernetes-list-type", "items") if key not in node]
    return f"a list without {', '.join(missing)}" if missing else None


def unkeyed_list(path: str, node: Node) -> str | None:
    if node.get("x-kubernetes-list-type") != "map":
        return None
    keys = node.get("x-kubernetes-list-map-keys", [])
    fields = node["items"].get("required", [])
    return None if keys and set(keys) <= set(fields) else f"list-map keys {keys} must be required fields of the entry"


def unbounded_map(path: str, node: Node) -> str | None:
    if "additionalProperties" not in node or "maxProperties" in node:
        return None
    return "a map without maxProperties"


def unbounded_number(path: str, node: Node) -> str | None:
    if node.get("type") != "integer" or {"minimum", "maximum"} <= set(node):
        return None
    return "a number without minimum and maximum"


def unreasoned_boolean(path: str, node: Node) -> str | None:
    if node.get("type") != "boolean" or path in EXCEPTIONS:
        return None
    return "a boolean cannot grow a third value: use an enum, or add a reasoned exception"


def unreasoned_free_form(path: str, node: Node) -> str | None:
    if "x-kubernetes-preserve-unknown-fields" not in node or path in EXCEPTIONS:
        return None
    return "free-form without a reasoned exception"


def phase(path: str, node: Node) -> str | None:
    return "phase is deprecated: use conditions" if path.rpartition(".")[2] == "phase" else None


def duration(path: str, node: Node) -> str | None:
    name = path.rpartition(".")[2]
    if not any(word in name.lower() for word in DURATION_WORDS):
        return None
    whole = node.get("type") == "integer" and "Seconds" in name
    return None if whole else "a duration must be whole seconds, and say so in its name"


Rule = Callable[[str, Node], str | None]
RULES: tuple[Rule, ...] = (
    unknown_keyword,
    untyped,
    undescribed,
    unbounded_string,
    unbounded_list,
    unkeyed_list,
    unbounded_map,
    unbounded_number,
    unreasoned_boolean,
    unreasoned_free_form,
    phase,
    duration,
)
