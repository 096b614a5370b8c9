"""What the apiserver cannot see wrong in one object: rules, constraints and schemas, with the exact place. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from remit.api.agent import AgentSpec
from remit.api.policy import PolicySpec
from remit.api.reasons import ObjectReason
from remit.api.toolgrant import ToolGrantSpec
from remit.core.engines import InvalidRuleError, InvalidSchemaError, RuleEngine, SchemaEngine

OUTPUT_SCHEMA = "spec.loop.outputSchema"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where."""

    place: str
    reason: ObjectReason
    message: str


def path_of(location: Sequence[int | str]) -> str:
    """Write a place as Kubernetes does: spec.rules[2].when."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def rule_place(index: int) -> str:
    """Place of a rule's expression."""
    return path_of(("rules", index, "when"))


def constraint_place(tool: int, index: int) -> str:
    """Place of a constraint's expression."""
    return path_of(("tools", tool, "constraints", index, "expression"))


def schema_place(tool: int) -> str:
    """Place of a tool's schema."""
    return path_of(("tools", tool, "inputSchema"))


def faults_of_policy(spec: PolicySpec, rules: RuleEngine) -> Iterator[Fault]:
    """Yield the rules that cannot be used: each of them refuses every call of its agents."""
    for index, rule in enumerate(spec.rules):
        yield from _compiling(rule_place(index), rule.when, rules.compile)


def faults_of_grant(spec: ToolGrantSpec, rules: RuleEngine, schemas: SchemaEngine) -> Iterator[Fault]:
    """Yield the schemas and constraints that cannot be used."""
    for number, tool in enumerate(spec.tools):
        yield from _compiling(schema_place(number), tool.input_schema, schemas.compile)
        for index, constraint in enumerate(tool.constraints):
            yield from _compiling(constraint_place(number, index), constraint.expression, rules.compile)


def faults_of_agent(spec: AgentSpec, schemas: SchemaEngine) -> Iterator[Fault]:
    """Yield the schema of results, where it cannot be used."""
    if spec.loop.output_schema is not None:
        yield from _compiling(OUTPUT_SCHEMA, spec.loop.output_schema, schemas.compile)


def _compiling(place: str, what: object, compile_it: Callable[..., object]) -> Iterator[Fault]:
    try:
        compile_it(what)
    except InvalidRuleError as error:
        yield Fault(place, ObjectReason.INVALID_RULE, str(error))
    except InvalidSchemaError as error:
        yield Fault(place, ObjectReason.INVALID_SCHEMA, str(error))
