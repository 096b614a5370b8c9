"""What core needs of a rule engine and of a schema engine, as Protocols, and how the two fail.

They stand here because core may not import ports; remit.ports hands them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class RemitError(Exception):
    """Base of every error of ours."""


class InvalidRuleError(RemitError):
    """A CEL expression does not compile or is not boolean; the text names the place."""


class RuleError(RemitError):
    """A rule could not be decided at run time; the text repeats no argument's value."""


class InvalidSchemaError(RemitError):
    """A JSON Schema cannot be used; the text names the place."""


class CompiledRule(Protocol):
    """A compiled CEL expression."""

    def evaluate(self, variables: Mapping[str, Any]) -> bool:
        """Return True or False; raises RuleError for anything else (an error, a type, the bound)."""


class RuleEngine(Protocol):
    """Compiles CEL."""

    def compile(self, expression: str) -> CompiledRule:
        """Compile a boolean expression over the names of docs/spec/policy.md.

        Raises InvalidRuleError with the place.
        """


class CompiledSchema(Protocol):
    """A compiled JSON Schema."""

    def violation(self, instance: Any) -> str | None:
        """Return None when `instance` satisfies the schema, else one line: the place and the fault.

        The line repeats no value of the instance: it goes into evidence.
        """


class SchemaEngine(Protocol):
    """Compiles JSON Schema 2020-12."""

    def compile(self, schema: Mapping[str, Any]) -> CompiledSchema:
        """Compile a schema; raises InvalidSchemaError (reference, loop, size, pattern)."""
