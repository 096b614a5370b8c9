"""The API lint: what every schema of ours must keep, after the rules of Kubernetes' API conventions. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a schema and where it is."""

    path: str
    node: Node


def violations(kind: str, schema: Node) -> list[str]:
    """Return every broken rule as `path: what`."""
    return [
        f"{path}: {complaint}"
        for path, node in walk(kind, schema)
        for rule in RULES
        if (complaint := rule(Place(path, node))) is not None
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


def unknown_keyword(at: Place) -> str | None:
    """The apiserver knows a few keywords only."""
    extra = sorted(set(at.node) - KEYWORDS)
    return f"unknown keywords {extra}" if extra else None


def untyped(at: Place) -> str | None:
    """Every value has one type, and none is a float."""
    known = {"object", "array", "string", "integer", "boolean"}
    return None if at.node.get("type") in known else f"type {at.node.get('type')!r}; no floats, no unions"


def undescribed(at: Place) -> str | None:
    """`kubectl explain` says what each field is."""
    entry = at.path.endswith(("[]", "{}"))
    return None if entry or at.node.get("description") else "no description"


def unbounded_string(at: Place) -> str | None:
    """A string has a bound, also in CEL's cost."""
    if at.node.get("type") != "string" or "enum" in at.node or "maxLength" in at.node:
        return None
    return "a string without maxLength"


def unbounded_list(at: Place) -> str | None:
    """A list has a bound, and says how two writers' entries merge."""
    if at.node.get("type") != "array":
        return None
    missing = [key for key in ("maxItems", "x-kubernetes-list-type", "items") if key not in at.node]
    return f"a list without {', '.join(missing)}" if missing else None


def unkeyed_list(at: Place) -> str | None:
    """The keys of a list-map are there in every entry."""
    if at.node.get("x-kubernetes-list-type") != "map":
        return None
    keys = at.node.get("x-kubernetes-list-map-keys", [])
    fields = at.node["items"].get("required", [])
    return None if keys and set(keys) <= set(fields) else f"list-map keys {keys} must be required fields of the entry"


def unbounded_map(at: Place) -> str | None:
    """A map has a bound."""
    if "additionalProperties" not in at.node or "maxProperties" in at.node:
        return None
    return "a map without maxProperties"


def unbounded_number(at: Place) -> str | None:
    """A number has bounds that every JSON reader keeps exact."""
    if at.node.get("type") != "integer" or {"minimum", "maximum"} <= set(at.node):
        return None
    return "a number without minimum and maximum"


def unreasoned_boolean(at: Place) -> str | None:
    """A boolean cannot grow a third value."""
    if at.node.get("type") != "boolean" or at.path in EXCEPTIONS:
        return None
    return "a boolean cannot grow a third value: use an enum, or add a reasoned exception"


def unreasoned_free_form(at: Place) -> str | None:
    """An open object is an exception with a reason."""
    if "x-kubernetes-preserve-unknown-fields" not in at.node or at.path in EXCEPTIONS:
        return None
    return "free-form without a reasoned exception"


def phase(at: Place) -> str | None:
    """Conditions say where an object stands."""
    return "phase is deprecated: use conditions" if at.path.rpartition(".")[2] == "phase" else None


def duration(at: Place) -> str | None:
    """Durations are whole seconds."""
    name = at.path.rpartition(".")[2]
    if not any(word in name.lower() for word in DURATION_WORDS):
        return None
    whole = at.node.get("type") == "integer" and "Seconds" in name
    return None if whole else "a duration must be whole seconds, and say so in its name"


Rule = Callable[[Place], str | None]
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
