"""Judges an object as the apiserver would by its CRD: schema, unknown fields, doubles, CEL. Offline."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
from cel_expr_python import cel

from remit.api.reasons import ObjectReason
from remit.core.faults import Fault

Node = Mapping[str, Any]
WHOLE: Final = "object"
"""The place of what is wrong with an object as a whole."""
_FREE: Final = "x-kubernetes-preserve-unknown-fields"
_RULES: Final = "x-kubernetes-validations"
_SELF: Final = cel.NewEnv(variables={"self": cel.Type.DYN})


def faults_by_schema(thing: Mapping[str, Any], schema: Node) -> list[Fault]:
    """Return all that the apiserver would refuse the object for; CEL is asked only about what has the right form."""
    whole = {**schema, "properties": {**schema["properties"], "status": {}}}
    found = [*_of_form(thing, whole), *_unknown(thing, schema, "")]
    if found:
        return found
    full = copy.deepcopy(dict(thing))
    _fill_in(full, schema)
    return [*_doubles(full, schema, ""), *_by_rules(full, schema, "")]


def _fault(place: str, message: str) -> Fault:
    return Fault(place.removeprefix(".") or WHOLE, ObjectReason.INVALID_SPEC, message)


def _of_form(thing: Any, schema: Node) -> Iterator[Fault]:
    validator = jsonschema_rs.Draft202012Validator(_without_rules(schema), offline=True)
    for error in validator.iter_errors(thing):
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        yield _fault(place, " ".join(error.message.split())[:300])


def _without_rules(node: Any) -> Any:
    """Return a schema that a plain validator reads alike: what only Kubernetes knows is left out."""
    if isinstance(node, Mapping):
        return {key: _without_rules(value) for key, value in node.items() if not str(key).startswith("x-kubernetes-")}
    return [_without_rules(each) for each in node] if isinstance(node, list) else node


def _unknown(value: Any, node: Node, place: str) -> Iterator[Fault]:
    """Yield fields that the schema does not know, and numbers with a fraction where none is allowed."""
    if node.get("type") == "integer" and isinstance(value, float):
        yield _fault(place, "must be an integer")
    known = node.get("properties")
    if isinstance(value, Mapping) and known is not None and not node.get(_FREE):
        for name, inner in value.items():
            if name in known:
                yield from _unknown(inner, known[name], f"{place}.{name}")
            elif place not in {".metadata", ".status"}:
                yield _fault(f"{place}.{name}", "unknown field")
    for index, inner in enumerate(value if isinstance(value, list) and "items" in node else ()):
        yield from _unknown(inner, node["items"], f"{place}[{index}]")


def _fill_in(value: Any, node: Node) -> None:
    """Set what the apiserver sets where nothing is said."""
    if isinstance(value, dict):
        for name, inner in (node.get("properties") or {}).items():
            if name not in value and "default" in inner:
                value[name] = copy.deepcopy(inner["default"])
            if name in value:
                _fill_in(value[name], inner)
    for inner in value if isinstance(value, list) else ():
        _fill_in(inner, node.get("items") or {})


def _doubles(value: Any, node: Node, place: str) -> Iterator[Fault]:
    kind, keys = node.get("x-kubernetes-list-type"), node.get("x-kubernetes-list-map-keys") or ()
    if isinstance(value, list) and kind in {"set", "map"}:
        seen = set()
        for index, item in enumerate(value):
            mark = json.dumps([item.get(key) for key in keys] if kind == "map" else item, sort_keys=True)
            if mark in seen:
                yield _fault(f"{place}[{index}]", "stands there twice")
            seen.add(mark)
    for inner, below, where in _inside(value, node, place):
        yield from _doubles(inner, below, where)


def _inside(value: Any, node: Node, place: str) -> Iterator[tuple[Any, Node, str]]:
    """Yield what is directly below a value, each with its schema and place."""
    if isinstance(value, Mapping):
        for name, inner in (node.get("properties") or {}).items():
            if name in value:
                yield value[name], inner, f"{place}.{name}"
    elif isinstance(value, list) and "items" in node:
        for index, inner in enumerate(value):
            yield inner, node["items"], f"{place}[{index}]"


def _by_rules(value: Any, node: Node, place: str) -> Iterator[Fault]:
    """Yield what CEL rules of the CRD refuse; those that compare with what was before need what was before."""
    for rule in node.get(_RULES) or ():
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value):
            yield _fault(f"{place}{rule.get('fieldPath', '')}", rule["message"])
    for inner, below, where in _inside(value, node, place):
        yield from _by_rules(inner, below, where)


def _holds(rule: str, value: Any) -> bool:
    outcome = _compiled(rule).eval(data={"self": value})
    return outcome.value() is True


@lru_cache(maxsize=256)
def _compiled(rule: str) -> Any:
    return _SELF.compile(rule)
