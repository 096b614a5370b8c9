"""JSON Schema 2020-12 behind the SchemaEngine port: jsonschema checks the schema, jsonschema-rs runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from remit.core.digest import canonical
from remit.core.schema import MAX_INSTANCE_DEPTH, check_schema, depth_of
from remit.ports import CompiledSchema, InvalidSchemaError

_CACHED_SCHEMAS = 1024
_MAX_NAME_CHARACTERS = 64
_MAX_NAMES = 5
_MAX_LINE_CHARACTERS = 500
_LINEAR = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
_MASK = "the value"


class JsonSchema:
    """One compiled schema."""

    __slots__ = ("_depth", "_validator")

    def __init__(self, validator: jsonschema_rs.Draft202012Validator, depth: int) -> None:
        """Keep the validator and the depth of values that it is safe for."""
        self._validator = validator
        self._depth = depth

    def violation(self, instance: Any) -> str | None:
        """Return None when `instance` satisfies the schema, else the place and the fault in one line."""
        if self._depth < MAX_INSTANCE_DEPTH and depth_of(instance) > self._depth:
            return f"arguments: nested deeper than {self._depth}"
        try:
            if self._validator.is_valid(instance):
                return None
            fault = next(self._validator.iter_errors(instance))
        except (ValueError, TypeError, RecursionError, OverflowError):
            return f"arguments: not JSON, or nested deeper than {MAX_INSTANCE_DEPTH}"
        return _line(fault)


class JsonSchemaEngine:
    """Compiles JSON Schema 2020-12."""

    def compile(self, schema: Mapping[str, Any]) -> CompiledSchema:
        """Compile, or return what an equal schema compiled to before; raises InvalidSchemaError."""
        bounds = check_schema(schema)
        return _compiled(canonical(schema), bounds.instance_depth)


@lru_cache(maxsize=_CACHED_SCHEMAS)
def _compiled(document: bytes, depth: int) -> JsonSchema:
    schema = json.loads(document)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "/".join(str(part) for part in error.absolute_path)
        raise InvalidSchemaError(f"/{place}: {error.message}"[:_MAX_LINE_CHARACTERS]) from error
    try:
        validator = jsonschema_rs.Draft202012Validator(schema, pattern_options=_LINEAR, offline=True, mask=_MASK)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        fault = str(getattr(error, "message", error)).splitlines()[0]
        raise InvalidSchemaError(fault[:_MAX_LINE_CHARACTERS]) from error
    return JsonSchema(validator, depth)


def _line(fault: jsonschema_rs.ValidationError) -> str:
    """Say where and what; names of unexpected properties are shown cut, values never."""
    place = ".".join(("arguments", *(str(part)[:_MAX_NAME_CHARACTERS] for part in fault.instance_path)))
    if fault.kind.name in {"additionalProperties", "unevaluatedProperties"}:
        names = sorted(str(name)[:_MAX_NAME_CHARACTERS] for name in fault.kind.as_dict()["unexpected"])
        shown = ", ".join(names[:_MAX_NAMES])
        return f"{place}: unexpected: {shown}"[:_MAX_LINE_CHARACTERS]
    if fault.kind.name == "propertyNames":
        return f"{place}: a name of a property is not allowed"
    what = " ".join(fault.message.split())
    return f"{place}: {what}"[:_MAX_LINE_CHARACTERS]
