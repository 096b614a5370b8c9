"""The API lint finds what it is for, and its exceptions are needed and have reasons."""

from typing import Any

import pytest

from remit.api.kinds import KINDS
from remit.codegen.crd import object_schema
from remit.codegen.lint import EXCEPTIONS, violations, walk

TEXT = {"type": "string", "description": "A text.", "maxLength": 5}
ENTRY = {"type": "object", "description": "An entry.", "properties": {"name": TEXT}, "required": ["name"]}
LIST = {"type": "array", "description": "A list.", "maxItems": 3, "items": TEXT, "x-kubernetes-list-type": "set"}
NUMBER = {"type": "integer", "format": "int64", "description": "A number.", "minimum": 0, "maximum": 9}


def without(node: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the node without some keywords."""
    return {key: value for key, value in node.items() if key not in keys}


KEYED = {**LIST, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": ENTRY}
FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("field", {**TEXT, "title": "Field"}, "unknown keywords ['title']"),
    ("field", {**TEXT, "type": "number"}, "type 'number'; no floats, no unions"),
    ("field", without(TEXT, "type"), "type None; no floats, no unions"),
    ("field", without(TEXT, "description"), "no description"),
    ("field", without(TEXT, "maxLength"), "a string without maxLength"),
    ("field", without(LIST, "maxItems"), "a list without maxItems"),
    ("field", without(LIST, "x-kubernetes-list-type"), "a list without x-kubernetes-list-type"),
    ("field", {**KEYED, "items": without(ENTRY, "required")}, "list-map keys ['name'] must be required"),
    ("field", {"type": "object", "description": "A map.", "additionalProperties": TEXT}, "a map without maxProperties"),
    ("field", without(NUMBER, "maximum"), "a number without minimum and maximum"),
    ("field", {"type": "boolean", "description": "A switch."}, "a boolean cannot grow a third value"),
    ("field", {"type": "object", "description": "x", "x-kubernetes-preserve-unknown-fields": True}, "free-form"),
    ("phase", TEXT, "phase is deprecated"),
    ("timeout", TEXT, "a duration must be whole seconds"),
    ("timeout", NUMBER, "a duration must be whole seconds"),
]


def schema_with(name: str, node: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object whose spec has one field."""
    spec = {"type": "object", "description": "Spec.", "properties": {name: node}}
    return {"type": "object", "properties": {"metadata": {"type": "object"}, "spec": spec}}


@pytest.mark.parametrize(("name", "node", "words"), FAULTS, ids=[fault[2].replace(" ", "-") for fault in FAULTS])
def test_a_fault_is_found(name: str, node: dict[str, Any], words: str) -> None:
    found = violations("Kind", schema_with(name, node))
    assert [line.startswith(f"Kind.spec.{name}: {words}") for line in found] == [True]


@pytest.mark.parametrize("node", [TEXT, LIST, NUMBER, KEYED], ids=["text", "list", "number", "keyed"])
def test_what_is_right_is_let_be(node: dict[str, Any]) -> None:
    assert violations("Kind", schema_with("field", node)) == []


def test_faults_below_lists_are_found() -> None:
    inner = {**ENTRY, "properties": {"name": TEXT, "cost": {"type": "number", "description": "Money."}}}
    found = violations("Kind", schema_with("field", {**KEYED, "items": inner}))
    assert found == ["Kind.spec.field[].cost: type 'number'; no floats, no unions"]


def test_every_exception_is_needed_and_says_why() -> None:
    paths = {path for kind in KINDS for path, _ in walk(kind.name, object_schema(kind))}
    assert set(EXCEPTIONS) - paths == set()
    assert [path for path, reason in EXCEPTIONS.items() if len(reason) < 10] == []
