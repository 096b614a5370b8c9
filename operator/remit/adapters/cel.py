"""CEL by the official C++ engine, behind the RuleEngine port.

The engine returns an error as a value that is truthy, so nothing here looks at truth: only a value of type
bool that `is True` counts, and whatever is not a bool raises RuleError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from remit.ports import CompiledRule, InvalidRuleError, RuleError

MAX_EXPRESSION_CHARACTERS: Final = 4096
_MAX_FAULT_CHARACTERS = 300
_CACHED_EXPRESSIONS = 4096

_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
NAMES: Final[Mapping[str, Any]] = {
    "run": _MAP,
    "agent": _MAP,
    "requester": _MAP,
    "case": _MAP,
    "arguments": _MAP,
    "usage": _MAP,
    "purpose": cel.Type.STRING,
    "tool": cel.Type.STRING,
    "grant": cel.Type.STRING,
    "risk": cel.Type.STRING,
    "step": cel.Type.INT,
    "duplicate": cel.Type.BOOL,
    "now": cel.Type.TIMESTAMP,
}
"""The names of docs/spec/policy-names.md and their types."""

SAMPLE: Final[Mapping[str, Any]] = {
    "run": {"namespace": "sample", "name": "sample", "uid": "sample", "attempt": 1},
    "agent": {"name": "sample", "owner": "sample", "labels": {}},
    "requester": {"username": "sample", "uid": "sample", "groups": []},
    "case": {"id": "", "system": "", "step": ""},
    "arguments": {},
    "usage": {"tokens": 0, "toolCalls": 0, "costMicroUSD": 0},
    "purpose": "sample",
    "tool": "sample",
    "grant": "sample",
    "risk": "ReadOnly",
    "step": 0,
    "duplicate": False,
    "now": datetime(2000, 1, 1, tzinfo=UTC),
}
"""A call as every rule may expect it; its maps say which fields there are."""

_ENVIRONMENT = cel.NewEnv(variables=dict(NAMES))
_LITERAL = r"""[rR]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_STRINGS = re.compile(_LITERAL)
_WORDS = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_FIELDS = re.compile(r"(?<![\w.])(run|agent|requester|case|usage)\s*\.\s*([A-Za-z_]\w*)")
_PATTERN = re.compile(rf"\bmatches\s*\((?:[^()]*,)?\s*({_LITERAL})\s*\)")
_MOMENT = re.compile(rf"\b(timestamp|duration)\s*\(\s*({_LITERAL})\s*\)")
_PLACE = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")


class CelRule:
    """One compiled expression; evaluating it touches only the names that it uses."""

    __slots__ = ("_expression", "_names")

    def __init__(self, expression: Any, names: tuple[str, ...]) -> None:
        """Keep the engine's expression and the names that the text uses."""
        self._expression = expression
        self._names = names

    def evaluate(self, variables: Mapping[str, Any]) -> bool:
        """Return the boolean; raises RuleError, whose text holds no value of the call."""
        try:
            named = {name: variables[name] for name in self._names}
            outcome = self._expression.eval(data=named)
            value, kind = outcome.value(), outcome.type()
        except (RuntimeError, TypeError, ValueError, KeyError, OverflowError) as error:
            raise RuleError(_cause(str(error))) from error
        if value is True or value is False:
            return value
        if kind == cel.Type.ERROR:
            raise RuleError(_cause(str(value)))
        raise RuleError(f"the result is {kind.name().lower()}, not a boolean")


class CelEngine:
    """Compiles CEL over the names of a call."""

    def compile(self, expression: str) -> CompiledRule:
        """Compile, or return what the same text compiled to before; raises InvalidRuleError."""
        return _compiled(expression)


@lru_cache(maxsize=_CACHED_EXPRESSIONS)
def _compiled(expression: str) -> CelRule:
    if len(expression) > MAX_EXPRESSION_CHARACTERS:
        raise InvalidRuleError(f"longer than {MAX_EXPRESSION_CHARACTERS} characters")
    compiled = _checked(expression)
    kind = compiled.return_type().name()
    if kind not in {"BOOL", "DYN"}:
        raise InvalidRuleError(f"must be a boolean, but is {kind.lower()}")
    bare = _STRINGS.sub("''", expression)
    _require_known_fields(bare)
    _require_good_literals(expression)
    used = set(_WORDS.findall(bare))
    rule = CelRule(compiled, tuple(name for name in NAMES if name in used))
    _require_boolean_of_sample(rule)
    return rule


def _checked(expression: str) -> Any:
    """Parse and type-check; raises InvalidRuleError with line and column."""
    try:
        return _ENVIRONMENT.compile(expression)
    except RuntimeError as error:
        text = str(error)
        place = _PLACE.search(text)
        if place is None:
            fault = text.split("[", maxsplit=1)[0].strip()
        else:
            line, column, what = place.groups()
            fault = f"{line}:{column}: {what.split(' (in container')[0].split(' [')[0]}"
        raise InvalidRuleError(fault[:_MAX_FAULT_CHARACTERS]) from error


def _require_known_fields(bare: str) -> None:
    """Refuse a misspelt field of a map whose fields are known: it would err at every call."""
    for name, field in _FIELDS.findall(bare):
        if field not in SAMPLE[name] and field not in {"all", "exists", "exists_one", "filter", "map"}:
            known = ", ".join(SAMPLE[name])
            raise InvalidRuleError(f"{name} has no field {field}: it has {known}")


def _require_good_literals(expression: str) -> None:
    """Refuse a literal pattern, time or duration that can only err at run time."""
    trials = [(text, f"''.matches({text})") for text in _PATTERN.findall(expression)]
    trials += [(text, f"{function}({text}) == {function}({text})") for function, text in _MOMENT.findall(expression)]
    for text, trial in trials:
        outcome = _checked(trial).eval(data={})
        if outcome.type() == cel.Type.ERROR:
            raise InvalidRuleError(f"{text[:80]}: {str(outcome.value())[:_MAX_FAULT_CHARACTERS]}")


def _require_boolean_of_sample(rule: CelRule) -> None:
    """Refuse what is not boolean though nothing is missing; an error may come of the sample's emptiness."""
    try:
        rule.evaluate(SAMPLE)
    except RuleError as error:
        if "not a boolean" in str(error):
            raise InvalidRuleError(f"must be a boolean, but {error}") from error


_CAUSES = (
    ("NOT_FOUND", "it reads a field that is not there"),
    ("divi", "division by zero"),
    ("modul", "division by zero"),
    ("overflow", "a number is too large"),
    ("range", "a number is too large"),
    ("overload", "an operator does not fit the types of its operands"),
    ("regular expression", "a pattern is not valid"),
    ("budget", "it takes too many steps"),
    ("index", "a list is shorter than expected"),
)


def _cause(text: str) -> str:
    """Say what went wrong in fixed words: the engine's text may repeat what the agent sent."""
    return next((cause for mark, cause in _CAUSES if mark in text), "it ends in an error")
