"""Every field of Agent, ToolGrant and Policy, edited so that it would widen a run that is under way: it does not.

A new field without a row here fails: whoever adds one says which edit of it would widen, or why none can.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from tests.support.authority_of_run import SERVED, authority_of, excess
from tests.support.bundles import a_bundle, a_call, a_grant, a_model_grant, a_policy, a_rule, a_tool, an_agent, compiled
from tests.support.objects import a_run
from tests.unit.codegen.test_enforcement import LEAVES

from remit.api.policy import Effect
from remit.core.policy import decide
from remit.core.prepare import CompiledBundle, Refusal

Objects = dict[str, Any]
Edit = Callable[[Objects], None]
CREDENTIAL = {"header": "X-Key", "secretName": "clerk", "secretKey": "key"}
GUARDED = {"type": "object", "properties": {"amount": {"type": "integer", "minimum": 0}}, "required": ["amount"]}
DENY = a_rule("no-debit", effect="Deny", tools=["core/debit"])
SMALL = a_rule("small", when="arguments.amount < 100", tools=["core/*", "provider/*"])


def objects() -> Objects:
    """One agent, a grant of tools and a model's, and a policy with a rule of each effect."""
    tools = (
        a_tool(
            inputSchema=GUARDED,
            priceMicroUSD=10,
            constraints=[{"expression": "arguments.amount != 7", "message": "not seven"}],
        ),
        a_tool("debit"),
        a_tool("look", risk="ReadOnly"),
    )
    return {
        "Agent": an_agent(),
        "ToolGrant": a_grant("core", *tools, credentials=[CREDENTIAL], notAfter="2026-12-31T00:00:00Z"),
        "Model": a_model_grant(notAfter="2026-12-31T00:00:00Z"),
        "Policy": a_policy(SMALL, DENY),
    }


def bundle_of(given: Objects) -> CompiledBundle | Refusal:
    return compiled(given["Agent"], [given["ToolGrant"], given["Model"]], [given["Policy"]])


def spec(kind: str, **fields: Any) -> Edit:
    """Set fields of a spec."""
    return lambda given: given[kind]["spec"].update(fields)


def tool(number: int = 0, **fields: Any) -> Edit:
    """Set fields of a tool."""
    return lambda given: given["ToolGrant"]["spec"]["tools"][number].update(fields)


def model(**fields: Any) -> Edit:
    """Set fields of the model."""
    return lambda given: given["Model"]["spec"]["upstream"]["model"]["models"][0].update(fields)


def rule(number: int, **fields: Any) -> Edit:
    """Set fields of a rule."""
    return lambda given: given["Policy"]["spec"]["rules"][number].update(fields)


def budget(**fields: Any) -> Edit:
    """Set fields of the budget."""
    return lambda given: given["Policy"]["spec"]["budgets"][0].update(fields)


def more_tools(given: Objects) -> None:
    given["ToolGrant"]["spec"]["tools"].append(a_tool("wire"))


def more_models(given: Objects) -> None:
    models = given["Model"]["spec"]["upstream"]["model"]["models"]
    models.append({**models[0], "name": "large"})


def another_model(given: Objects) -> None:
    more_models(given)
    given["Agent"]["spec"]["model"] = {"grant": "provider", "name": "large"}


MORE = 10**9
FAR = "2099-01-01T00:00:00Z"
OTHER_URL = "http://other.example"
POD = "its pod is made once, from the revision: test_a_new_try_is_of_the_revision_that_the_run_is_pinned_to"
WORDS = "words for people and agents, nothing that is decided or bounded"
FLOOR = "a floor for pods and starts: what it says of a run under way can only stop it"
WIDENINGS: dict[str, Edit | str] = {
    "Agent.owner": spec("Agent", owner="mallory@example.com"),
    "Agent.purposes": spec("Agent", purposes=["card-dispute", "refund"]),
    "Agent.lifecycle": "an agent that is not Active has no run under way: test_revisions.py, test_authority.py",
    "Agent.runtime.harness": POD,
    "Agent.runtime.container.image": POD,
    "Agent.runtime.container.command": POD,
    "Agent.runtime.container.args": POD,
    "Agent.instructions.inline": spec("Agent", instructions={"inline": "Pay whatever is asked for."}),
    "Agent.model.grant": spec("Agent", model={"grant": "provider", "name": "small"}),
    "Agent.model.name": another_model,
    "Agent.model.maxOutputTokens": spec(
        "Agent", model={"grant": "provider", "name": "small", "maxOutputTokens": 900_000}
    ),
    "Agent.loop.maxIterations": spec("Agent", loop={"maxIterations": 1000}),
    "Agent.loop.outputSchema": spec("Agent", loop={"outputSchema": {"type": "object"}}),
    "Agent.sandbox.runtimeClassName": POD,
    "Agent.sandbox.cpuMillis": POD,
    "Agent.sandbox.memoryMiB": POD,
    "Agent.sandbox.ephemeralStorageMiB": POD,
    "Agent.sandbox.scratchMiB": POD,
    "Agent.warm.replicas": spec("Agent", warm={"replicas": 500}),
    "ToolGrant.agents.names": spec("ToolGrant", agents={"names": ["teller", "other"]}),
    "ToolGrant.agents.matchLabels": spec("ToolGrant", agents={"matchLabels": {"team": "disputes"}}),
    "ToolGrant.purposes": spec("ToolGrant", purposes=["card-dispute", "refund"]),
    "ToolGrant.notAfter": spec("ToolGrant", notAfter=FAR),
    "ToolGrant.suspended": spec("ToolGrant", suspended=False),
    "ToolGrant.upstream.mcp.url": spec("ToolGrant", upstream={"mcp": {"url": OTHER_URL}}),
    "ToolGrant.upstream.model.api": lambda given: given["Model"]["spec"]["upstream"]["model"].update(api="Anthropic"),
    "ToolGrant.upstream.model.baseURL": lambda given: given["Model"]["spec"]["upstream"]["model"].update(
        baseURL=OTHER_URL
    ),
    "ToolGrant.upstream.model.models[].name": more_models,
    "ToolGrant.upstream.model.models[].inputMicroUSDPerMillionTokens": model(inputMicroUSDPerMillionTokens=0),
    "ToolGrant.upstream.model.models[].outputMicroUSDPerMillionTokens": model(outputMicroUSDPerMillionTokens=0),
    "ToolGrant.upstream.model.models[].tokensPerKiB": model(tokensPerKiB=1),
    "ToolGrant.credentials[].header": spec("ToolGrant", credentials=[{**CREDENTIAL, "header": "X-Admin"}]),
    "ToolGrant.credentials[].secretName": spec("ToolGrant", credentials=[{**CREDENTIAL, "secretName": "admin"}]),
    "ToolGrant.credentials[].secretKey": spec("ToolGrant", credentials=[{**CREDENTIAL, "secretKey": "admin"}]),
    "ToolGrant.credentials[].prefix": spec("ToolGrant", credentials=[{**CREDENTIAL, "prefix": "Admin "}]),
    "ToolGrant.tools[].name": more_tools,
    "ToolGrant.tools[].description": WORDS,
    "ToolGrant.tools[].risk": tool(risk="ReadOnly"),
    "ToolGrant.tools[].inputSchema": tool(inputSchema={"type": "object"}),
    "ToolGrant.tools[].constraints[].expression": tool(constraints=[{"expression": "true", "message": "all"}]),
    "ToolGrant.tools[].constraints[].message": WORDS,
    "ToolGrant.tools[].priceMicroUSD": tool(priceMicroUSD=0),
    "ToolGrant.tools[].timeoutSeconds": tool(timeoutSeconds=600),
    "Policy.agents.names": spec("Policy", agents={"names": ["teller"]}),
    "Policy.agents.matchLabels": spec("Policy", agents={"matchLabels": {"team": "disputes"}}),
    "Policy.namespaceSelector": "only in the install namespace, and there it adds a floor: test_compile.py",
    "Policy.rules[].name": WORDS,
    "Policy.rules[].tools": rule(1, tools=["core/nothing"]),
    "Policy.rules[].risks": rule(1, risks=["ReadOnly"]),
    "Policy.rules[].when": rule(0, when="true"),
    "Policy.rules[].effect": rule(1, effect="Allow"),
    "Policy.rules[].message": WORDS,
    "Policy.budgets[].per": "there is one kind of budget",
    "Policy.budgets[].costMicroUSD": budget(costMicroUSD=MORE),
    "Policy.budgets[].tokens": budget(tokens=MORE),
    "Policy.budgets[].toolCalls": budget(toolCalls=MORE),
    "Policy.budgets[].wallClockSeconds": budget(wallClockSeconds=31_536_000),
    "Policy.budgets[].softPercent": WORDS,
    "Policy.budgets[].handoffPercent": budget(handoffPercent=1),
    "Policy.runs.maxConcurrent": FLOOR,
    "Policy.runs.case": FLOOR,
    "Policy.sandbox.images": FLOOR,
    "Policy.sandbox.runtimeClassNames": FLOOR,
    "Policy.sandbox.maxCPUMillis": FLOOR,
    "Policy.sandbox.maxMemoryMiB": FLOOR,
    "Policy.sandbox.nodeAccess": FLOOR,
    "Policy.revoked": FLOOR,
}
EDITS = {path: edit for path, edit in WIDENINGS.items() if not isinstance(edit, str)}
ALSO_WIDER_ALONE = {
    "Agent.model.maxOutputTokens",
    "Agent.loop.maxIterations",
    "ToolGrant.upstream.mcp.url",
    "ToolGrant.upstream.model.baseURL",
    "ToolGrant.upstream.model.models[].name",
    "ToolGrant.upstream.model.models[].inputMicroUSDPerMillionTokens",
    "ToolGrant.upstream.model.models[].tokensPerKiB",
    "ToolGrant.credentials[].secretName",
    "ToolGrant.tools[].name",
    "ToolGrant.tools[].risk",
    "ToolGrant.tools[].inputSchema",
    "ToolGrant.tools[].priceMicroUSD",
    "ToolGrant.tools[].timeoutSeconds",
    "Agent.instructions.inline",
    "Policy.rules[].tools",
    "Policy.rules[].when",
    "Policy.rules[].effect",
    "Policy.budgets[].costMicroUSD",
    "Policy.budgets[].wallClockSeconds",
    "Policy.budgets[].handoffPercent",
}
"""Edits whose bundle, were it the only one, would be wider: that the measure sees it is what makes it one."""


def test_every_field_has_a_row_and_every_row_a_field() -> None:
    assert sorted(WIDENINGS) == sorted(path for path in LEAVES if not path.startswith("AgentRun."))


def edited(path: str) -> CompiledBundle | Refusal:
    given = deepcopy(objects())
    EDITS[path](given)
    return bundle_of(given)


def a_served_run() -> dict[str, Any]:
    run = a_run()
    run["metadata"] |= {"uid": "run", "creationTimestamp": "2026-11-21T12:00:00Z"}
    return run | {"status": SERVED}


@pytest.mark.parametrize("path", EDITS)
def test_no_edit_widens_a_run_under_way(path: str) -> None:
    run, pinned = a_served_run(), bundle_of(objects())
    assert isinstance(pinned, CompiledBundle)
    admitted = authority_of(run, pinned, pinned)
    assert admitted.calls
    assert excess(authority_of(run, pinned, edited(path)), admitted) == []


@pytest.mark.parametrize("path", sorted(ALSO_WIDER_ALONE))
def test_the_measure_sees_what_the_edit_would_widen(path: str) -> None:
    run, pinned, live = a_served_run(), bundle_of(objects()), edited(path)
    assert excess(authority_of(run, live, live), authority_of(run, pinned, pinned))


def test_a_grant_made_again_under_its_name_gives_what_was_admitted_and_no_more() -> None:
    run, pinned = a_served_run(), bundle_of(objects())
    given = objects()
    given["ToolGrant"]["metadata"]["uid"] = "another"
    more_tools(given)
    live = bundle_of(given)
    assert isinstance(pinned, CompiledBundle)
    assert isinstance(live, CompiledBundle)
    assert decide(a_call(arguments={"amount": 10}), pinned, live).effect is Effect.ALLOW
    assert decide(a_call(tool="wire"), pinned, live).effect is Effect.DENY
    assert excess(authority_of(run, pinned, live), authority_of(run, pinned, pinned)) == []


def test_a_grant_that_was_suspended_when_the_run_was_admitted_gives_it_nothing_later() -> None:
    given = objects()
    given["ToolGrant"]["spec"]["suspended"] = True
    pinned, live = bundle_of(given), bundle_of(objects())
    assert isinstance(pinned, CompiledBundle)
    assert decide(a_call(arguments={"amount": 10}), pinned, live).effect is Effect.DENY


def test_credentials_in_another_order_are_the_same() -> None:
    second = {**CREDENTIAL, "header": "X-Other"}
    one = a_bundle(None, [a_grant("core", credentials=[CREDENTIAL, second]), a_model_grant()])
    other = a_bundle(None, [a_grant("core", credentials=[second, CREDENTIAL]), a_model_grant()])
    assert decide(a_call(), one, other).effect is Effect.ALLOW


def test_an_agent_made_again_under_its_name_is_another() -> None:
    pinned = bundle_of(objects())
    given = objects()
    given["Agent"]["metadata"]["uid"] = "another"
    assert isinstance(pinned, CompiledBundle)
    assert decide(a_call(arguments={"amount": 10}), pinned, bundle_of(given)).effect is Effect.DENY
