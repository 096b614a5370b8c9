"""Objects as the apiserver stores them, and bundles made of them: builders with the relevant fields only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.core.compile import compile_live
from remit.core.policy import CallInput
from remit.core.prepare import CompiledBundle, Refusal

NAMESPACE = "bank"
INSTALL_NAMESPACE = "remit-system"
PURPOSE = "card-dispute"
NOW = 1_795_000_000.0


def an_object(name: str, spec: Mapping[str, Any], **meta: Any) -> dict[str, Any]:
    """Return an object with the metadata that the apiserver adds."""
    metadata = {"namespace": NAMESPACE, "name": name, "uid": f"uid-{name}", "generation": 1, **meta}
    return {"metadata": metadata, "spec": dict(spec)}


def an_agent(labels: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return an active Agent that uses the model of a_model_grant."""
    whole = {
        "owner": "disputes@example.com",
        "purposes": [PURPOSE],
        "lifecycle": "Active",
        "runtime": {"harness": {}},
        "instructions": {"inline": "Resolve the dispute."},
        "model": {"grant": "provider", "name": "small"},
        **spec,
    }
    return an_object("teller", whole, labels=dict(labels or {"team": "disputes"}))


def a_tool(name: str = "credit", **fields: Any) -> dict[str, Any]:
    """Return a tool that moves money."""
    schema = {"type": "object", "properties": {"amount": {"type": "integer"}}, "additionalProperties": False}
    return {"name": name, "risk": "Financial", "inputSchema": schema, "constraints": [], **fields}


def a_grant(name: str = "core", *tools: Mapping[str, Any], meta: Mapping[str, Any] | None = None, **spec: Any) -> Any:
    """Return a grant of an MCP server's tools."""
    whole = {
        "agents": {"names": ["teller"]},
        "purposes": [PURPOSE],
        "upstream": {"mcp": {"url": "http://core.example/mcp"}},
        "tools": list(tools) or [a_tool()],
        **spec,
    }
    return an_object(name, whole, **(meta or {}))


def a_model_grant(**spec: Any) -> dict[str, Any]:
    """Return a grant of one priced model."""
    model = {"name": "small", "inputMicroUSDPerMillionTokens": 150_000, "outputMicroUSDPerMillionTokens": 600_000}
    whole = {
        "agents": {"matchLabels": {"team": "disputes"}},
        "purposes": [PURPOSE],
        "upstream": {"model": {"api": "OpenAI", "baseURL": "http://model.example/v1", "models": [model]}},
        **spec,
    }
    return an_object("provider", whole)


def a_rule(name: str = "all", when: str = "true", effect: str = "Allow", **fields: Any) -> dict[str, Any]:
    """Return a rule about everything."""
    rule = {"name": name, "tools": ["*"], "risks": ["Any"], "when": when, "effect": effect}
    return rule | {"message": f"because of {name}", **fields}


def a_budget(**fields: Any) -> dict[str, Any]:
    """Return a budget per run."""
    return {
        "per": "Run",
        "costMicroUSD": 1_000_000,
        "tokens": 100_000,
        "toolCalls": 100,
        "wallClockSeconds": 600,
        **fields,
    }


def a_policy(*rules: Mapping[str, Any], name: str = "rules", namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    """Return a policy for every agent of its namespace."""
    return an_object(name, {"rules": list(rules), "budgets": [a_budget()], **spec}, namespace=namespace)


def compiled(
    agent: Any = None, grants: Any = None, policies: Any = None, labels: Mapping[str, str] | None = None
) -> CompiledBundle | Refusal:
    """Compile by the real engines; what is not given is a case where all is allowed."""
    return compile_live(
        agent or an_agent(),
        [a_grant(), a_model_grant()] if grants is None else grants,
        [a_policy(a_rule())] if policies is None else policies,
        namespace_labels=labels or {},
        install_namespace=INSTALL_NAMESPACE,
        rules=CelEngine(),
        schemas=JsonSchemaEngine(),
    )


def a_bundle(agent: Any = None, grants: Any = None, policies: Any = None, **more: Any) -> CompiledBundle:
    """Compile what must compile."""
    bundle = compiled(agent, grants, policies, **more)
    assert isinstance(bundle, CompiledBundle), bundle
    return bundle


def a_call(grant: str = "core", tool: str = "credit", **fields: Any) -> CallInput:
    """Return a call of a run."""
    whole: dict[str, Any] = {
        "arguments": {"amount": 100},
        "run": {"namespace": NAMESPACE, "name": "dispute-1", "uid": "uid-run", "attempt": 1},
        "requester": {"username": "ann", "uid": "u-1", "groups": ["tellers"]},
        "case": {"id": "C-1", "system": "disputes", "step": ""},
        "purpose": PURPOSE,
        "now": NOW,
        **fields,
    }
    return CallInput(grant=grant, tool=tool, **whole)
