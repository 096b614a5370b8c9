"""A bundle made ready for decisions: rules, constraints and schemas compiled once, tools by name. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType

from remit.api.bundle import Bundle, BundledGrant, BundledPolicy
from remit.api.policy import Effect, Rule
from remit.api.reasons import ObjectReason
from remit.api.toolgrant import ModelUpstream, PricedModel, Risk, Tool
from remit.core.digest import canonical, sha256_hex
from remit.core.engines import (
    CompiledRule,
    CompiledSchema,
    InvalidRuleError,
    InvalidSchemaError,
    RuleEngine,
    SchemaEngine,
)
from remit.core.faults import OUTPUT_SCHEMA, constraint_place, rule_place, schema_place

_MAX_TOOL_NAME = 64
_EFFECT_ORDER = (Effect.DENY, Effect.REQUIRE_APPROVAL, Effect.ALLOW)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no bundle, and which object is to blame."""

    reason: ObjectReason
    message: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A rule with its compiled expression; `policy` is NAMESPACE/NAME."""

    policy: str
    rule: Rule
    when: CompiledRule

    def is_about(self, grant: str, tool: str, risk: Risk) -> bool:
        """Tell whether the rule is about such a call at all."""
        patterns = {"*", f"{grant}/*", f"{grant}/{tool}"}
        if patterns.isdisjoint(self.rule.tools):
            return False
        return any(str(named) in {"Any", str(risk)} for named in self.rule.risks)


@dataclass(frozen=True, slots=True)
class CompiledConstraint:
    """A constraint on arguments with its compiled expression."""

    expression: CompiledRule
    message: str


@dataclass(frozen=True, slots=True)
class GrantedTool:
    """One tool or model of one grant: all that a decision and a call need of it."""

    grant: BundledGrant
    not_after: float | None
    """Epoch seconds of the grant's end."""
    name: str
    """The tool's or model's name at the upstream."""
    shown_name: str
    """What the agent calls it."""
    risk: Risk
    tool: Tool | None
    model: PricedModel | None
    schema: CompiledSchema | None
    constraints: tuple[CompiledConstraint, ...]
    rules: tuple[PolicyRule, ...]
    """The rules that are about it: denies, then approvals, then allows."""


@dataclass(frozen=True)
class CompiledBundle:
    """A bundle ready for decisions."""

    bundle: Bundle
    document: bytes
    """Canonical bytes."""
    digest: str
    """`sha256:HEX` of the document."""
    tools: Mapping[tuple[str, str], GrantedTool]
    """Tools and models by (grant, name)."""
    shown: Mapping[str, GrantedTool]
    """MCP tools by the name that the agent uses, in order of that name."""

    @cached_property
    def models(self) -> Mapping[str, tuple[GrantedTool, ...]]:
        """Models by name, the agent's own grant first."""
        chosen = self.bundle.agent.spec.model.grant
        found: dict[str, list[GrantedTool]] = {}
        for entry in self.tools.values():
            if entry.model is not None:
                found.setdefault(entry.name, []).append(entry)
        return {
            name: tuple(sorted(entries, key=lambda e: (e.grant.ref.name != chosen, e.grant.ref.name)))
            for name, entries in found.items()
        }


class _InvalidError(Exception):
    """Carries a refusal out of the compilation of one object."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def prepare(
    bundle: Bundle, rules: RuleEngine, schemas: SchemaEngine, *, document: bytes = b""
) -> CompiledBundle | Refusal:
    """Compile every rule, constraint and schema of the bundle.

    `document` is what the bundle was read from: an older version wrote it without the fields that came since, and
    evidence names it by the digest that it had then.
    """
    try:
        _require_output_schema(bundle, schemas)
        ordered = _rules_of(bundle, rules)
        tools = {(entry.grant.ref.name, entry.name): entry for entry in _tools_of(bundle, ordered, rules, schemas)}
    except _InvalidError as invalid:
        return invalid.refusal
    shown = {t.shown_name: t for t in sorted(tools.values(), key=_by_shown_name) if t.tool is not None}
    document = document or canonical(bundle.document())
    return CompiledBundle(
        bundle=bundle,
        document=document,
        digest=f"sha256:{sha256_hex(document)}",
        tools=MappingProxyType(tools),
        shown=MappingProxyType(shown),
    )


def _require_output_schema(bundle: Bundle, engine: SchemaEngine) -> None:
    """Refuse a schema of results that cannot be used: no run could succeed."""
    schema = bundle.agent.spec.loop.output_schema
    if schema is None:
        return
    try:
        engine.compile(schema)
    except InvalidSchemaError as error:
        reason, name = ObjectReason.INVALID_SCHEMA, bundle.agent.ref.name
        raise _InvalidError(Refusal(reason, f"{OUTPUT_SCHEMA}: {error}", "Agent", name)) from error


def _by_shown_name(entry: GrantedTool) -> str:
    return entry.shown_name


def _rules_of(bundle: Bundle, engine: RuleEngine) -> list[PolicyRule]:
    """Compile all rules: denies first, so that the strongest finding ends a decision."""
    compiled = [
        PolicyRule(f"{p.ref.namespace}/{p.ref.name}", rule, _compiled_rule(p, index, engine))
        for p in bundle.policies
        for index, rule in enumerate(p.spec.rules)
    ]
    return sorted(compiled, key=lambda entry: _EFFECT_ORDER.index(entry.rule.effect))


def _compiled_rule(policy: BundledPolicy, index: int, engine: RuleEngine) -> CompiledRule:
    try:
        return engine.compile(policy.spec.rules[index].when)
    except InvalidRuleError as error:
        raise _InvalidError(
            Refusal(
                ObjectReason.INVALID_RULE,
                f"{rule_place(index)}: {error}",
                "Policy",
                policy.ref.name,
            )
        ) from error


def _tools_of(bundle: Bundle, ordered: list[PolicyRule], rules: RuleEngine, schemas: SchemaEngine) -> list[GrantedTool]:
    names = _shown_names(bundle)
    found: list[GrantedTool] = []
    for grant in bundle.grants:
        end = _end_of(grant)
        found += [
            GrantedTool(
                grant=grant,
                not_after=end,
                name=tool.name,
                shown_name=names[grant.ref.name, tool.name],
                risk=tool.risk,
                tool=tool,
                model=None,
                schema=_compiled_schema(grant, number, schemas),
                constraints=_compiled_constraints(grant, number, rules),
                rules=_about(ordered, grant, tool.name, tool.risk),
            )
            for number, tool in enumerate(grant.spec.tools)
        ]
        if grant.spec.upstream.model is not None:
            found += _models_of(grant, grant.spec.upstream.model, end, ordered)
    return found


def _models_of(
    grant: BundledGrant, upstream: ModelUpstream, end: float | None, ordered: list[PolicyRule]
) -> list[GrantedTool]:
    """Return the grant's models: a model call only reads."""
    return [
        GrantedTool(
            grant=grant,
            not_after=end,
            name=model.name,
            shown_name=model.name,
            risk=Risk.READ_ONLY,
            tool=None,
            model=model,
            schema=None,
            constraints=(),
            rules=_about(ordered, grant, model.name, Risk.READ_ONLY),
        )
        for model in upstream.models
    ]


def _about(ordered: list[PolicyRule], grant: BundledGrant, name: str, risk: Risk) -> tuple[PolicyRule, ...]:
    return tuple(entry for entry in ordered if entry.is_about(grant.ref.name, name, risk))


def _end_of(grant: BundledGrant) -> float | None:
    """Return the grant's end in epoch seconds; that it is a moment with a zone, the model has checked."""
    end = grant.spec.not_after
    return None if end is None else datetime.fromisoformat(end).timestamp()


def _on_grant(grant: BundledGrant, reason: ObjectReason, message: str) -> _InvalidError:
    return _InvalidError(Refusal(reason, message, "ToolGrant", grant.ref.name))


def _compiled_schema(grant: BundledGrant, number: int, engine: SchemaEngine) -> CompiledSchema:
    try:
        return engine.compile(grant.spec.tools[number].input_schema)
    except InvalidSchemaError as error:
        raise _on_grant(grant, ObjectReason.INVALID_SCHEMA, f"{schema_place(number)}: {error}") from error


def _compiled_constraints(grant: BundledGrant, number: int, engine: RuleEngine) -> tuple[CompiledConstraint, ...]:
    compiled = []
    for index, constraint in enumerate(grant.spec.tools[number].constraints):
        try:
            expression = engine.compile(constraint.expression)
        except InvalidRuleError as error:
            place = constraint_place(number, index)
            raise _on_grant(grant, ObjectReason.INVALID_RULE, f"{place}: {error}") from error
        compiled.append(CompiledConstraint(expression, constraint.message))
    return tuple(compiled)


def _shown_names(bundle: Bundle) -> dict[tuple[str, str], str]:
    """Name each MCP tool for the agent: its own name, or GRANT__TOOL where two grants share it.

    Model providers take letters, digits, `_` and `-`, at most 64: other characters become `_`.
    """
    keys = [(grant.ref.name, tool.name) for grant in bundle.grants for tool in grant.spec.tools]
    plain = Counter(_worded(name) for _, name in keys)
    names = {key: _worded(key[1]) if plain[_worded(key[1])] == 1 else _worded("__".join(key)) for key in keys}
    taken = Counter(names.values())
    return {key: name if taken[name] == 1 else _marked(name, key) for key, name in names.items()}


def _worded(name: str) -> str:
    worded = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    return worded if len(worded) <= _MAX_TOOL_NAME else _marked(worded, (name,))


def _marked(name: str, key: tuple[str, ...]) -> str:
    """Make a name unique by a digest of what it names."""
    mark = sha256("/".join(key).encode()).hexdigest()[:10]
    return f"{name[: _MAX_TOOL_NAME - 11]}_{mark}"
