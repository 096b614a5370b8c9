"""Agent, grants and policies as one bundle, and the bundle made ready for decisions. Pure.

The controller compiles to pin, the gateway compiles what is live: both by this one function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from remit.api.agent import AgentSpec
from remit.api.bundle import Bundle, BundledAgent, BundledGrant, BundledPolicy, ObjectReference
from remit.api.meta import AgentSelector, ApiModel
from remit.api.policy import BudgetScope, PolicySpec
from remit.api.reasons import ObjectReason
from remit.api.toolgrant import ToolGrantSpec
from remit.core.digest import canonical
from remit.core.engines import RuleEngine, SchemaEngine
from remit.core.faults import path_of
from remit.core.floors import with_foreign_runtime_class, with_too_much_room, with_unpinned_image
from remit.core.prepare import CompiledBundle, Refusal, prepare

Spec = TypeVar("Spec", bound=ApiModel)
_MAX_FAULTS = 5


def compile_bundle(
    agent: Mapping[str, Any],
    grants: Iterable[Mapping[str, Any]],
    policies: Iterable[Mapping[str, Any]],
    *,
    namespace_labels: Mapping[str, str],
    install_namespace: str,
    rules: RuleEngine,
    schemas: SchemaEngine,
) -> Bundle | Refusal:
    """Compile an agent's objects (as the apiserver stores them) into its bundle.

    `grants` and `policies` may hold objects of any namespace: what is not the agent's is left out.
    """
    compiled = compile_live(
        agent,
        grants,
        policies,
        namespace_labels=namespace_labels,
        install_namespace=install_namespace,
        rules=rules,
        schemas=schemas,
    )
    if isinstance(compiled, Refusal):
        return compiled
    return with_too_much_room(compiled.bundle) or compiled.bundle


def compile_live(
    agent: Mapping[str, Any],
    grants: Iterable[Mapping[str, Any]],
    policies: Iterable[Mapping[str, Any]],
    *,
    namespace_labels: Mapping[str, str],
    install_namespace: str,
    rules: RuleEngine,
    schemas: SchemaEngine,
) -> CompiledBundle | Refusal:
    """Compile an agent's objects, ready for decisions."""
    try:
        principal = _bundled_agent(agent)
        candidates = _in_reach(principal, policies, namespace_labels, install_namespace)
        if (revocation := _revocation(candidates)) is not None:
            return revocation
        bundle = Bundle(
            agent=principal,
            grants=_grants_of(principal, grants),
            policies=[_bundled_policy(source, install_namespace) for source in candidates],
        )
    except _RefusedError as refused:
        return refused.refusal
    for objection in (
        _without_policy,
        _without_budget,
        _without_model,
        with_unpinned_image,
        with_foreign_runtime_class,
    ):
        if (refusal := objection(bundle)) is not None:
            return refusal
    return prepare(bundle, rules, schemas)


def policies_of(
    agent: Mapping[str, Any],
    policies: Iterable[Mapping[str, Any]],
    *,
    namespace_labels: Mapping[str, str],
    install_namespace: str,
) -> tuple[BundledPolicy, ...] | Refusal:
    """Return the policies that are for an agent, or which of the objects cannot be read."""
    try:
        sources = _in_reach(_bundled_agent(agent), policies, namespace_labels, install_namespace)
        return tuple(_bundled_policy(source, install_namespace) for source in sources)
    except _RefusedError as refused:
        return refused.refusal


def load_bundle(document: Mapping[str, Any], *, rules: RuleEngine, schemas: SchemaEngine) -> CompiledBundle | Refusal:
    """Make a pinned bundle's document ready for decisions; it keeps its bytes, whichever version wrote them."""
    try:
        bundle = Bundle.model_validate(document)
    except ValidationError as error:
        return Refusal(ObjectReason.INVALID_SPEC, _places(error), "Bundle", "")
    return prepare(bundle, rules, schemas, document=canonical(document))


class _RefusedError(Exception):
    """Carries a refusal out of the parsing of one object."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def _refuse(kind: str, source: Mapping[str, Any], reason: ObjectReason, message: str) -> _RefusedError:
    return _RefusedError(Refusal(reason, message, kind, source["metadata"]["name"]))


def _places(error: ValidationError) -> str:
    """Say where and what, without the values."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    shown = "; ".join(f"{path_of(f['loc'])}: {f['msg']}" for f in faults[:_MAX_FAULTS])
    more = len(faults) - _MAX_FAULTS
    return shown if more <= 0 else f"{shown}; and {more} more"


def _parsed(kind: str, source: Mapping[str, Any], model: type[Spec]) -> Spec:
    try:
        return model.model_validate(source.get("spec") or {})
    except ValidationError as error:
        raise _refuse(kind, source, ObjectReason.INVALID_SPEC, _places(error)) from error


def _reference(source: Mapping[str, Any]) -> ObjectReference:
    meta = source["metadata"]
    return ObjectReference(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=meta.get("generation", 0),
    )


def _bundled_agent(source: Mapping[str, Any]) -> BundledAgent:
    spec = _parsed("Agent", source, AgentSpec)
    if (spec.runtime.harness is None) == (spec.runtime.container is None):
        raise _refuse(
            "Agent",
            source,
            ObjectReason.INVALID_SPEC,
            "spec.runtime: must have exactly one of harness and container",
        )
    labels = source["metadata"].get("labels") or {}
    return BundledAgent(ref=_reference(source), labels=labels, spec=spec)


def _selects(selector: AgentSelector, agent: BundledAgent) -> bool:
    """Tell whether a selector chooses the agent; one without names and labels chooses nobody."""
    if selector.names is not None:
        return agent.ref.name in selector.names
    return _matches(selector.match_labels or {"": ""}, agent.labels)


def _matches(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())


def _surely_not_for(source: Mapping[str, Any], agent: BundledAgent) -> bool:
    """Tell whether the object is well enough formed to see that it is for other agents."""
    try:
        return not _selects(AgentSelector.model_validate(source["spec"]["agents"]), agent)
    except (KeyError, TypeError, ValidationError):
        return False


def _in_order(sources: Iterable[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return sorted(sources, key=lambda o: (o["metadata"]["namespace"], o["metadata"]["name"]))


def _grants_of(agent: BundledAgent, sources: Iterable[Mapping[str, Any]]) -> list[BundledGrant]:
    """Parse the grants that choose the agent; one that is being deleted gives nothing any more."""
    return [
        _bundled_grant(source)
        for source in _in_order(sources)
        if source["metadata"]["namespace"] == agent.ref.namespace
        and not source["metadata"].get("deletionTimestamp")
        and not _surely_not_for(source, agent)
    ]


def _bundled_grant(source: Mapping[str, Any]) -> BundledGrant:
    spec = _parsed("ToolGrant", source, ToolGrantSpec)
    fault = _grant_fault(spec)
    if fault:
        raise _refuse("ToolGrant", source, ObjectReason.INVALID_SPEC, fault)
    return BundledGrant(ref=_reference(source), spec=spec)


def _grant_fault(spec: ToolGrantSpec) -> str:
    """Check what the kind's CEL rules and list-map keys check at the apiserver."""
    if (spec.upstream.mcp is None) == (spec.upstream.model is None):
        return "spec.upstream: must have exactly one of mcp and model"
    if (spec.upstream.mcp is not None) != bool(spec.tools):
        return "spec.tools: must be given for an mcp upstream, and for that only"
    model = spec.upstream.model
    names = [tool.name for tool in spec.tools] + [m.name for m in (model.models if model else ())]
    if len(set(names)) != len(names):
        return "spec.tools: a name stands twice"
    return "" if _one_selector(spec.agents) else "spec.agents: must have exactly one of names and matchLabels"


def _one_selector(selector: AgentSelector) -> bool:
    return (selector.names is None) != (selector.match_labels is None)


def _revocation(policies: Iterable[Mapping[str, Any]]) -> Refusal | None:
    """Return what a policy that takes everything back means; no fault of another object may hide it."""
    for source in policies:
        if (why := (source.get("spec") or {}).get("revoked")) is not None:
            meta = source["metadata"]
            return Refusal(ObjectReason.REVOKED, str(why), "Policy", f"{meta['namespace']}/{meta['name']}")
    return None


def _in_reach(
    agent: BundledAgent,
    sources: Iterable[Mapping[str, Any]],
    namespace_labels: Mapping[str, str],
    install_namespace: str,
) -> list[Mapping[str, Any]]:
    """Return the policies for the agent: its namespace's, and the install namespace's floors."""
    chosen = []
    for source in _in_order(sources):
        namespace = source["metadata"]["namespace"]
        local = namespace == agent.ref.namespace
        if not local and namespace != install_namespace:
            continue
        if "agents" in (source.get("spec") or {}) and _surely_not_for(source, agent):
            continue
        if not local and not _holds_in(source, namespace_labels):
            continue
        chosen.append(source)
    return chosen


def _holds_in(source: Mapping[str, Any], namespace_labels: Mapping[str, str]) -> bool:
    """Tell whether a policy of the install namespace holds in another one; malformed ones do."""
    selector = (source.get("spec") or {}).get("namespaceSelector")
    if selector is None:
        return False
    return not isinstance(selector, Mapping) or _matches(selector, namespace_labels)


def _bundled_policy(source: Mapping[str, Any], install_namespace: str) -> BundledPolicy:
    spec = _parsed("Policy", source, PolicySpec)
    if spec.namespace_selector is not None and source["metadata"]["namespace"] != install_namespace:
        raise _refuse(
            "Policy",
            source,
            ObjectReason.NAMESPACE_SELECTOR_NOT_ALLOWED,
            f"spec.namespaceSelector: only a Policy in {install_namespace} may hold in other namespaces",
        )
    if spec.agents is not None and not _one_selector(spec.agents):
        raise _refuse(
            "Policy",
            source,
            ObjectReason.INVALID_SPEC,
            "spec.agents: must have exactly one of names and matchLabels",
        )
    return BundledPolicy(ref=_reference(source), spec=spec)


def _on_agent(bundle: Bundle, reason: ObjectReason, message: str) -> Refusal:
    return Refusal(reason, message, "Agent", bundle.agent.ref.name)


def _without_policy(bundle: Bundle) -> Refusal | None:
    if bundle.policies:
        return None
    return _on_agent(
        bundle,
        ObjectReason.NO_POLICY,
        "no Policy is for this agent: apply one whose spec.agents selects it, or has none",
    )


def _without_budget(bundle: Bundle) -> Refusal | None:
    budgets = [budget for policy in bundle.policies for budget in policy.spec.budgets]
    if any(budget.per is BudgetScope.RUN for budget in budgets):
        return None
    return _on_agent(bundle, ObjectReason.NO_BUDGET, "no Policy bounds a run: add a budget per Run")


def _without_model(bundle: Bundle) -> Refusal | None:
    choice = bundle.agent.spec.model
    for grant in bundle.grants:
        upstream = grant.spec.upstream.model
        if grant.ref.name == choice.grant and upstream is not None:
            if any(model.name == choice.name for model in upstream.models):
                return None
            return _on_agent(
                bundle,
                ObjectReason.MODEL_NOT_GRANTED,
                f"ToolGrant {choice.grant} does not list the model {choice.name}",
            )
    return _on_agent(
        bundle,
        ObjectReason.MODEL_NOT_GRANTED,
        f"no ToolGrant {choice.grant} with a model upstream is for this agent",
    )
