"""No field without effect: every leaf of every spec names the function that enforces it, and that function reads it.

A new field without a row here fails; so does a row whose function is gone or no longer looks at the field.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import remit
from remit.api.kinds import KINDS
from remit.codegen.crd import object_schema

SOURCES = Path(remit.__file__).parent
ACRONYMS = (("USD", "Usd"), ("URL", "Url"), ("UID", "Uid"), ("CPU", "Cpu"), ("MiB", "Mib"), ("KiB", "Kib"))

ENFORCED: dict[str, str] = {
    "Agent.owner": "gateway.callers:facts_of",
    "Agent.purposes": "core.policy:purpose_is_not_granted",
    "Agent.lifecycle": "core.policy:inactive",
    "Agent.runtime.harness": "core.compile:_bundled_agent",
    "Agent.runtime.container.image": "core.children:_users",
    "Agent.runtime.container.command": "core.children:_users",
    "Agent.runtime.container.args": "core.children:_users",
    "Agent.instructions.inline": "gateway.runs:input_of",
    "Agent.model.grant": "core.compile:_without_model",
    "Agent.model.name": "core.compile:_without_model",
    "Agent.model.maxOutputTokens": "gateway.books:worst_case",
    "Agent.loop.maxIterations": "gateway.books:out_of_turn",
    "Agent.loop.outputSchema": "gateway.runs:result_violation",
    "Agent.sandbox.runtimeClassName": "core.children:_pod_spec",
    "Agent.sandbox.cpuMillis": "core.children:_resources",
    "Agent.sandbox.memoryMiB": "core.children:_resources",
    "Agent.sandbox.ephemeralStorageMiB": "core.children:_resources",
    "Agent.sandbox.scratchMiB": "core.children:_scratch_volume",
    "Agent.warm.replicas": "controller.pools:_wanted",
    "ToolGrant.agents.names": "core.compile:_selects",
    "ToolGrant.agents.matchLabels": "core.compile:_selects",
    "ToolGrant.purposes": "core.policy:purpose_is_not_granted",
    "ToolGrant.notAfter": "core.prepare:_end_of",
    "ToolGrant.suspended": "core.policy:grant_is_suspended",
    "ToolGrant.upstream.mcp.url": "gateway.credentials:url_of",
    "ToolGrant.upstream.model.api": "gateway.links:tool_of",
    "ToolGrant.upstream.model.baseURL": "gateway.credentials:url_of",
    "ToolGrant.upstream.model.models[].name": "core.prepare:_models_of",
    "ToolGrant.upstream.model.models[].inputMicroUSDPerMillionTokens": "core.pricing:cost_of",
    "ToolGrant.upstream.model.models[].outputMicroUSDPerMillionTokens": "core.pricing:cost_of",
    "ToolGrant.upstream.model.models[].tokensPerKiB": "core.pricing:hold_of_model",
    "ToolGrant.credentials[].header": "gateway.credentials:credentials_of",
    "ToolGrant.credentials[].secretName": "gateway.credentials:credentials_of",
    "ToolGrant.credentials[].secretKey": "gateway.credentials:credentials_of",
    "ToolGrant.credentials[].prefix": "gateway.credentials:credentials_of",
    "ToolGrant.tools[].name": "core.prepare:_tools_of",
    "ToolGrant.tools[].description": "gateway.mcp_answers:_described",
    "ToolGrant.tools[].risk": "core.prepare:_tools_of",
    "ToolGrant.tools[].inputSchema": "core.prepare:_compiled_schema",
    "ToolGrant.tools[].constraints[].expression": "core.prepare:_compiled_constraints",
    "ToolGrant.tools[].constraints[].message": "core.prepare:_compiled_constraints",
    "ToolGrant.tools[].priceMicroUSD": "gateway.books:worst_case",
    "ToolGrant.tools[].timeoutSeconds": "gateway.links_upstream:call_tool",
    "Policy.agents.names": "core.compile:_selects",
    "Policy.agents.matchLabels": "core.compile:_selects",
    "Policy.namespaceSelector": "core.compile:_holds_in",
    "Policy.rules[].name": "core.policy:_by_rule",
    "Policy.rules[].tools": "core.prepare:PolicyRule.is_about",
    "Policy.rules[].risks": "core.prepare:PolicyRule.is_about",
    "Policy.rules[].when": "core.prepare:_compiled_rule",
    "Policy.rules[].effect": "core.policy:decide_by_rules",
    "Policy.rules[].message": "core.policy:decide_by_rules",
    "Policy.budgets[].per": "core.budget:limits_of",
    "Policy.budgets[].costMicroUSD": "core.budget:limits_of",
    "Policy.budgets[].tokens": "core.budget:limits_of",
    "Policy.budgets[].toolCalls": "core.budget:limits_of",
    "Policy.budgets[].wallClockSeconds": "core.budget:limits_of",
    "Policy.budgets[].softPercent": "core.budget:limits_of",
    "Policy.budgets[].handoffPercent": "core.budget:limits_of",
    "Policy.runs.maxConcurrent": "core.queue:_rule",
    "Policy.runs.case": "core.queue:_rule",
    "Policy.sandbox.images": "core.floors:with_unpinned_image",
    "Policy.sandbox.runtimeClassNames": "core.floors:with_foreign_runtime_class",
    "Policy.sandbox.maxCPUMillis": "core.floors:_bounds",
    "Policy.sandbox.maxMemoryMiB": "core.floors:_bounds",
    "Policy.sandbox.nodeAccess": "core.floors:who_refuses_node_access",
    "Policy.revoked": "core.compile:_revocation",
    "AgentRun.agent": "controller.gather:run_world",
    "AgentRun.purpose": "core.policy:purpose_is_not_granted",
    "AgentRun.case.id": "gateway.links:input_of",
    "AgentRun.case.system": "gateway.links:input_of",
    "AgentRun.case.step": "gateway.links:input_of",
    "AgentRun.input": "gateway.runs:input_of",
    "AgentRun.requester.username": "core.admission:requester_is_unknown",
    "AgentRun.requester.uid": "gateway.links:input_of",
    "AgentRun.requester.groups": "gateway.links:input_of",
    "AgentRun.budget.costMicroUSD": "core.budget:limits_of",
    "AgentRun.budget.tokens": "core.budget:limits_of",
    "AgentRun.budget.toolCalls": "core.budget:limits_of",
    "AgentRun.budget.wallClockSeconds": "core.budget:limits_of",
    "AgentRun.deadlineSeconds": "core.course:facts_of",
    "AgentRun.attempt": "core.children:run_pod",
    "AgentRun.retry.limit": "core.course:_tries",
    "AgentRun.retry.backoffSeconds": "core.course:_tries",
    "AgentRun.desired": "core.lifecycle:stop_is_due",
    "AgentRun.ttlSecondsAfterFinished": "controller.runs:Runs._clean_up",
}


def leaves(node: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the path of every field that has no fields of its own."""
    for name, child in node.get("properties", {}).items():
        inner, mark = (child["items"], "[]") if "items" in child else (child, "")
        if inner.get("properties"):
            yield from leaves(inner, f"{path}.{name}{mark}")
        else:
            yield f"{path}.{name}"


LEAVES = [path for kind in KINDS for path in leaves(object_schema(kind)["properties"]["spec"], kind.name)]


def function_at(place: str) -> ast.AST | None:
    """Return the function that `module:name` or `module:Class.name` means."""
    module, _, name = place.partition(":")
    node: ast.AST | None = tree_of(module)
    for part in name.split("."):
        children = ast.iter_child_nodes(node) if node else iter(())
        node = next((child for child in children if named(child, part)), None)
    return node


@cache
def tree_of(module: str) -> ast.AST:
    """Return the parsed source of a module."""
    return ast.parse((SOURCES / f"{module.replace('.', '/')}.py").read_text())


def named(node: ast.AST, name: str) -> bool:
    """Tell whether the node defines that name."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name


def words(function: ast.AST) -> set[str]:
    """Return every attribute and every text that a function mentions."""
    nodes = list(ast.walk(function))
    texts = {str(node.value) for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def spellings(path: str) -> set[str]:
    """Return how code may name the field, or the object that holds it: as in JSON, or as in Python."""
    names = [part.removesuffix("[]") for part in path.split(".")[1:]][-2:]
    return {*names, *(snake(name) for name in names)}


def snake(name: str) -> str:
    """Return the Python name of a field."""
    for acronym, plain in ACRONYMS:
        name = name.replace(acronym, plain)
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def test_every_field_has_a_row_and_every_row_a_field() -> None:
    assert sorted(ENFORCED) == sorted(LEAVES)


@pytest.mark.parametrize(("path", "place"), ENFORCED.items(), ids=ENFORCED)
def test_the_named_function_reads_the_field(path: str, place: str) -> None:
    function = function_at(place)
    assert function is not None, f"{place} is gone: what enforces {path} now?"
    assert spellings(path) & words(function), f"{place} does not look at {path}"
