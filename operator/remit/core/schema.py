"""Whether a JSON Schema (2020-12) is safe to run against what an untrusted agent sends. Pure.

A schema is walked as a graph: some edges apply to the same value (`allOf`, `$ref`), others to a part of it
(`properties`, `items`). A loop of the first kind never ends; loops of the second kind can make a small schema
and a small value cost exponential time, so that the depth of values is bounded by what the schema costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from remit.core.digest import canonical
from remit.core.engines import InvalidSchemaError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMA_BYTES = 32 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_INSTANCE_DEPTH = 32
MIN_INSTANCE_DEPTH = 4
MAX_STEPS = 1_000_000
"""Bound of the applications of subschemas that one value can cause, about a tenth of a second."""
_MAX_EXPANSION = 10_000

_SAME_ONE = ("not", "if", "then", "else")
_SAME_LIST = ("allOf", "anyOf", "oneOf")
_SAME_MAP = ("dependentSchemas",)
_PART_ONE = (
    "additionalProperties",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "items",
    "contains",
)
_PART_LIST = ("prefixItems",)
_PART_MAP = ("properties", "patternProperties")
_REFUSED = ("$dynamicRef", "$recursiveRef", "$vocabulary", "dependencies", "additionalItems")
"""What 2020-12 has no meaning for, or what we cannot bound: ignoring it would widen."""
_ANCHORS = ("$anchor", "$dynamicAnchor")
_ANCHOR = re.compile(r"^[A-Za-z_][-A-Za-z0-9._]*$")
_LOOK_AROUND = re.compile(r"\(\?(?:[=!]|<[=!])")
_BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\(?:[1-9]|k<)")


@dataclass(frozen=True, slots=True)
class SchemaBounds:
    """What a checked schema allows its values to be."""

    instance_depth: int


@dataclass(slots=True)
class _Graph:
    """The schema's nodes by JSON pointer, and their edges."""

    same: dict[str, list[str]] = field(default_factory=dict)
    part: dict[str, list[str]] = field(default_factory=dict)


def check_schema(schema: Mapping[str, Any]) -> SchemaBounds:
    """Return the bounds under which the schema is safe to run; raises InvalidSchemaError."""
    try:
        size = len(canonical(schema))
    except (ValueError, RecursionError) as error:
        raise InvalidSchemaError("is not JSON, or is nested too deep") from error
    if size > MAX_SCHEMA_BYTES:
        raise InvalidSchemaError(f"is larger than {MAX_SCHEMA_BYTES} bytes")
    if schema.get("$schema", DIALECT) not in (DIALECT, f"{DIALECT}#"):
        raise InvalidSchemaError(f"$schema: only {DIALECT} is known")
    graph = _graph_of(schema)
    _require_progress(graph)
    return SchemaBounds(_instance_depth(graph))


def depth_of(value: Any) -> int:
    """Return how deep objects and lists are nested; a plain value is 0."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        depth, level = depth + 1, [child for v in level for child in _children(v)]
    return depth


def _children(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _graph_of(schema: Mapping[str, Any]) -> _Graph:
    anchors: dict[str, str] = {}
    references: list[tuple[str, str]] = []
    graph = _Graph()
    waiting: list[tuple[str, Any, int]] = [("", schema, 0)]
    while waiting:
        pointer, node, depth = waiting.pop()
        if depth > MAX_SCHEMA_DEPTH:
            raise InvalidSchemaError(f"{pointer[:200]}: nested deeper than {MAX_SCHEMA_DEPTH}")
        graph.same[pointer], graph.part[pointer] = [], []
        if not isinstance(node, Mapping):
            continue
        _check_keywords(pointer, node)
        anchors |= {node[name]: pointer for name in _ANCHORS if name in node}
        references += [(pointer, node[name]) for name in ("$ref",) if name in node]
        for edges, child, subschema in _edges(pointer, node, graph):
            edges.append(child)
            waiting.append((child, subschema, depth + 1))
    for pointer, reference in references:
        graph.same[pointer].append(_target(pointer, reference, graph, anchors))
    return graph


def _edges(pointer: str, node: Mapping[str, Any], graph: _Graph) -> Iterator[tuple[list[str], str, Any]]:
    """Yield each subschema with the list of edges that it belongs to."""
    for edges, ones, lists, maps in (
        (graph.same[pointer], _SAME_ONE, _SAME_LIST, _SAME_MAP),
        (graph.part[pointer], _PART_ONE, _PART_LIST, _PART_MAP),
        ([], (), (), ("$defs", "definitions")),
    ):
        for name in ones:
            if name in node:
                yield edges, f"{pointer}/{name}", node[name]
        for name in lists:
            for place, child in enumerate(_typed(pointer, node, name, list)):
                yield edges, f"{pointer}/{name}/{place}", child
        for name in maps:
            for key, child in _typed(pointer, node, name, dict).items():
                yield edges, f"{pointer}/{name}/{_escaped(key)}", child


def _typed(pointer: str, node: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = node.get(name, kind())
    if not isinstance(value, kind):
        raise InvalidSchemaError(f"{pointer}/{name}: is not {'an object' if kind is dict else 'a list'}")
    return value


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _check_keywords(pointer: str, node: Mapping[str, Any]) -> None:
    for name in _REFUSED:
        if name in node:
            raise InvalidSchemaError(f"{pointer}/{name}: is not supported")
    if pointer and ("$id" in node or "$schema" in node):
        raise InvalidSchemaError(f"{pointer}: $id and $schema may stand at the top only")
    for pattern in _patterns(node):
        if _LOOK_AROUND.search(pattern) or _BACK_REFERENCE.search(pattern):
            raise InvalidSchemaError(
                f"{pointer}: pattern {pattern[:80]!r}: look-around and back references cannot be matched in linear time"
            )
    for name in _ANCHORS:
        anchor = node.get(name, "a")
        if not isinstance(anchor, str) or not _ANCHOR.match(anchor):
            raise InvalidSchemaError(f"{pointer}/{name}: is not an anchor")


def _patterns(node: Mapping[str, Any]) -> list[str]:
    found = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
    keyed = node.get("patternProperties")
    return found + (list(keyed) if isinstance(keyed, dict) else [])


def _target(pointer: str, reference: Any, graph: _Graph, anchors: Mapping[str, str]) -> str:
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise InvalidSchemaError(f"{pointer}/$ref: points out of the document")
    fragment = unquote(reference[1:])
    target = anchors.get(fragment, "missing") if fragment and fragment[0] != "/" else fragment
    if target not in graph.same:
        raise InvalidSchemaError(f"{pointer}/$ref: {reference[:80]} is not a schema in the document")
    return target


def _require_progress(graph: _Graph) -> None:
    """Refuse a loop that never leaves the value it started at."""
    done: set[str] = set()
    for start in graph.same:
        path: dict[str, Iterator[str]] = {}
        node: str | None = start
        while node is not None:
            if node not in path:
                path[node] = iter(graph.same[node])
            following = next((n for n in path[node] if n not in done), None)
            if following is None:
                done.add(node)
                del path[node]
                node = next(reversed(path), None)
            elif following in path:
                raise InvalidSchemaError(f"{following or '#'}: $ref leads back to itself")
            else:
                node = following


def _instance_depth(graph: _Graph) -> int:
    """Return how deep values may be nested so that no value causes more than MAX_STEPS."""
    looping = _looping(graph)
    order = _ordered(graph, looping)
    expansion: dict[str, int] = {}
    branches: dict[str, int] = {}
    for node in order:
        ahead = [p for p in graph.part[node] if p not in looping]
        inward = [p for p in graph.part[node] if p in looping]
        expansion[node] = 1 + sum(expansion[n] for n in (*graph.same[node], *ahead)) + len(inward)
        branches[node] = len(inward) + sum(branches[n] for n in graph.same[node])
        if expansion[node] > _MAX_EXPANSION:
            raise InvalidSchemaError(f"{node or '#'}: references multiply beyond {_MAX_EXPANSION} steps")
    fan = max(branches.values())
    if fan < 2:  # noqa: PLR2004 (one way down costs no more per level than the last)
        return MAX_INSTANCE_DEPTH
    depth, steps = 0, max(expansion.values())
    while steps <= MAX_STEPS and depth < MAX_INSTANCE_DEPTH:
        depth, steps = depth + 1, steps * fan
    if depth < MIN_INSTANCE_DEPTH:
        raise InvalidSchemaError("recursion branches too widely to be run on untrusted values")
    return depth


def _looping(graph: _Graph) -> set[str]:
    """Return the nodes from which a loop can be reached: what is left when dead ends are taken away."""
    left = {node: {*graph.same[node], *graph.part[node]} for node in graph.same}
    before: dict[str, set[str]] = {node: set() for node in left}
    for node, after in left.items():
        for following in after:
            before[following].add(node)
    dead = [node for node, after in left.items() if not after]
    while dead:
        gone = dead.pop()
        for earlier in before[gone]:
            left[earlier].discard(gone)
            if not left[earlier]:
                dead.append(earlier)
        left.pop(gone)
    return set(left)


def _ordered(graph: _Graph, looping: set[str]) -> list[str]:
    """Order nodes so that each comes after what it expands to; parts that may loop are not expanded."""
    order: dict[str, None] = {}
    for start in graph.same:
        waiting = [(start, False)]
        while waiting:
            node, expanded = waiting.pop()
            if node in order:
                continue
            if expanded:
                order[node] = None
                continue
            waiting.append((node, True))
            waiting += [(n, False) for n in graph.same[node]]
            waiting += [(n, False) for n in graph.part[node] if n not in looping]
    return list(order)
