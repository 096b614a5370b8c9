"""Authority as it is now: what is taken back stops at once, in flight too; a stale view stops all; both are told."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from tests.support.fake_authority import FakeCluster, a_policy, a_rule, a_tool
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway_process import Served, reason_of
from tests.support.governed import CHAT, a_chat, governed
from tests.support.polling import eventually_async

from remit.adapters.clock import SystemClock
from remit.gateway.settings import Settings

Change = Callable[[FakeCluster], Any]


def made_anew(cluster: FakeCluster, kind: str, name: str) -> None:
    old = cluster.named(kind, name)
    cluster.remove(kind, name)
    cluster.put(old | {"metadata": old["metadata"] | {"uid": "another"}})


TAKEN_BACK: dict[str, tuple[Change, str]] = {
    "grant suspended": (lambda c: c.change("ToolGrant", "bank", suspended=True), "GrantSuspended"),
    "grant expired": (lambda c: c.change("ToolGrant", "bank", notAfter="2020-01-01T00:00:00Z"), "GrantExpired"),
    "grant deleted": (lambda c: c.remove("ToolGrant", "bank"), "Revoked"),
    "grant for another purpose": (lambda c: c.change("ToolGrant", "bank", purposes=["else"]), "PurposeNotGranted"),
    "grant for another agent": (lambda c: c.change("ToolGrant", "bank", agents={"names": ["other"]}), "Revoked"),
    "grant moved": (
        lambda c: c.change("ToolGrant", "bank", upstream={"mcp": {"url": "http://127.0.0.1:1/mcp"}}),
        "Revoked",
    ),
    "agent suspended": (lambda c: c.change("Agent", "clerk", lifecycle="Suspended"), "Revoked"),
    "agent deleted": (lambda c: c.remove("Agent", "clerk"), "Revoked"),
    "agent made anew under its name": (lambda c: made_anew(c, "Agent", "clerk"), "Revoked"),
    "namespace not seen, so that no floor is known": (lambda c: c.remove("Namespace", "bank"), "AuthorityStale"),
    "policy deleted": (lambda c: c.remove("Policy", "rules"), "Revoked"),
    "policy that denies": (lambda c: c.change("Policy", "rules", rules=[a_rule("no", "Deny")]), "PolicyDenied"),
    "policy that does not compile": (
        lambda c: c.change("Policy", "rules", rules=[a_rule("odd", when="arguments.(")]),
        "InvalidRule",
    ),
    "tool taken out": (lambda c: c.change("ToolGrant", "bank", tools=[a_tool("credit", "Financial")]), "Revoked"),
    "model taken out": (lambda c: c.remove("ToolGrant", "model"), "Revoked"),
    "run cancelled": (lambda c: c.set_status("AgentRun", "run-1", reason="Cancelled"), "RunNotActive"),
    "run to be terminated": (lambda c: c.change("AgentRun", "run-1", desired="Terminated"), "RunNotActive"),
}


def waiting_for(bank: FakeUpstream) -> None:
    async def wait(_request: web.Request, _body: Any) -> web.StreamResponse:
        await bank.gate.wait()
        return web.Response()

    bank.serve = wait


async def refusal(world: Served, tool: str = "look", call_id: str = "c1") -> str:
    _, answer, _ = await world.call_raw(tool, {}, call_id)
    return reason_of(answer) or str(answer.get("error", {}).get("reason", ""))


@pytest.mark.parametrize(("change", "reason"), TAKEN_BACK.values(), ids=TAKEN_BACK)
async def test_what_is_taken_back_is_refused_from_then_on(change: Change, reason: str) -> None:
    async with governed() as (world, _):
        assert await refusal(world) == ""
        change(world.cluster)
        await eventually_async(lambda: refusal(world), lambda seen: seen == reason)


@pytest.mark.parametrize(("change", "reason"), TAKEN_BACK.values(), ids=TAKEN_BACK)
async def test_a_read_in_flight_is_cut(change: Change, reason: str) -> None:
    async with governed() as (world, bank):
        waiting_for(bank)
        asking = asyncio.ensure_future(refusal(world))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 1)
        change(world.cluster)
        async with asyncio.timeout(2):
            assert await asking == reason


async def test_a_write_in_flight_that_is_cut_is_unknown() -> None:
    async with governed() as (world, bank):
        waiting_for(bank)
        asking = asyncio.ensure_future(refusal(world, "credit"))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 1)
        world.cluster.change("ToolGrant", "bank", suspended=True)
        assert await asking == "OutcomeUnknown"

        async def outcome() -> Any:
            return world.cluster.status_of("AgentRun", "run-1").get("outcome", {})

        told = await eventually_async(outcome)
        assert told["reason"] == "OutcomeUnknown"


async def calls_of(bank: FakeUpstream) -> int:
    return bank.calls


async def test_a_deleted_pod_cuts_what_its_run_has_in_flight() -> None:
    async with governed() as (world, bank):
        waiting_for(bank)
        asking = asyncio.ensure_future(refusal(world))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 1)
        world.cluster.remove("Pod", "run-1-1")
        async with asyncio.timeout(2):
            assert await asking == "RunNotActive"


async def test_a_policy_that_allows_more_does_not_widen_what_was_admitted() -> None:
    async with governed(a_policy(a_rule("never", "Deny", tools=("bank/credit",)), a_rule())) as (world, bank):
        world.cluster.change("Policy", "rules", rules=[a_rule()])
        await eventually_async(lambda: enforced(world, "Policy", "rules"), lambda seen: seen.get("generation") == 2)
        assert await refusal(world, "credit") == "PolicyDenied"
        assert not bank.calls


async def test_a_lower_live_budget_holds() -> None:
    async with governed() as (world, _):
        assert await refusal(world, call_id="c1") == ""
        lower = a_policy(toolCalls=1)["spec"]["budgets"]
        world.cluster.change("Policy", "rules", budgets=lower)
        await eventually_async(lambda: enforced(world, "Policy", "rules"), lambda seen: seen.get("generation") == 2)
        assert await refusal(world, call_id="c2") == "BudgetExhausted"


async def enforced(world: Served, kind: str, name: str) -> Any:
    return world.cluster.status_of(kind, name).get("enforced", {})


async def test_the_generation_in_force_is_acknowledged_once() -> None:
    async with governed() as (world, _):
        told = await eventually_async(lambda: enforced(world, "ToolGrant", "bank"))
        assert (told["generation"], told["reason"]) == (1, "Ready")
        world.cluster.change("ToolGrant", "bank", suspended=True)
        told = await eventually_async(
            lambda: enforced(world, "ToolGrant", "bank"), lambda seen: seen["generation"] == 2
        )
        written = [each for each in world.cluster.statuses if each["metadata"]["name"] == "bank"]
        assert len(written) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rules": [a_rule("odd", when="1 +")]}, "InvalidRule"),
        ({"rules": [a_rule("odd", when="arguments.x + 1")]}, "InvalidRule"),
        ({"namespaceSelector": {"a": "b"}}, "NamespaceSelectorNotAllowed"),
        ({"budgets": "none"}, "InvalidSpec"),
    ],
)
async def test_a_policy_that_cannot_be_enforced_says_why(change: dict[str, Any], reason: str) -> None:
    async with governed() as (world, _):
        world.cluster.change("Policy", "rules", **change)
        await eventually_async(lambda: enforced(world, "Policy", "rules"), lambda seen: seen.get("reason") == reason)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://elsewhere.example/schema"},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    ],
    ids=["another document", "a loop"],
)
async def test_a_schema_that_cannot_be_used_refuses_its_grant_only_while_it_stands(schema: dict[str, Any]) -> None:
    async with governed() as (world, bank):
        world.cluster.change("ToolGrant", "bank", tools=[a_tool("look", inputSchema=schema)])
        told = await eventually_async(
            lambda: enforced(world, "ToolGrant", "bank"), lambda seen: seen.get("generation") == 2
        )
        assert told["reason"] == "InvalidSchema"
        assert await refusal(world) == "InvalidSchema"
        assert not bank.calls


async def test_a_pattern_that_backtracks_elsewhere_costs_no_time_here() -> None:
    schema = {"type": "object", "properties": {"x": {"pattern": "^(a+)+$", "type": "string"}}}
    async with governed(tools=(a_tool("look", inputSchema=schema),)) as (world, bank):
        async with asyncio.timeout(2):
            _, answer, _ = await world.call_raw("look", {"x": "a" * 50_000 + "!"}, "c1")
        assert reason_of(answer) == "InvalidArguments"
        assert not bank.calls


async def test_what_no_watch_ever_told_is_known_after_a_resync() -> None:
    async with governed(settings=Settings(resync_seconds=0.5)) as (world, _):
        assert await refusal(world) == ""
        world.cluster.hidden.add("ToolGrant")
        world.cluster.change("ToolGrant", "bank", suspended=True)
        await eventually_async(lambda: refusal(world), lambda seen: seen == "GrantSuspended")


async def test_a_stale_view_makes_calls_wait_and_then_refuses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.3)
    async with governed(settings=Settings(authority_bound_seconds=1.0)) as (world, bank):
        world.cluster.silent = True
        await eventually_async(lambda: world.control("/readyz"), lambda seen: seen[0] == 503)
        status, answer, headers = await world.call_raw("look", {}, "c1")
        assert (status, answer["error"]["reason"], headers["Retry-After"]) == (503, "AuthorityStale", "2")
        assert not bank.calls
        world.cluster.silent = False
        assert await eventually_async(lambda: refusal(world), lambda seen: not seen) == ""


async def test_a_call_that_waits_for_a_fresh_view_goes_on_when_it_comes() -> None:
    async with governed(settings=Settings(authority_bound_seconds=1.0)) as (world, _):
        world.cluster.silent = True
        await eventually_async(lambda: world.control("/readyz"), lambda seen: seen[0] == 503)
        asking = asyncio.ensure_future(refusal(world))
        world.cluster.silent = False
        assert await asking == ""


async def test_while_the_apiserver_is_away_runs_are_refused_and_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.3)
    async with governed(settings=Settings(authority_bound_seconds=1.0)) as (world, _):
        assert await refusal(world) == ""
        world.cluster.away = True
        await eventually_async(lambda: refusal(world), lambda seen: seen == "AuthorityStale")
        world.cluster.away = False
        await eventually_async(lambda: refusal(world, call_id="c2"), lambda seen: not seen)
        assert "run-end" not in await world.kinds()


async def test_what_was_deleted_while_the_watch_was_down_is_gone() -> None:
    async with governed() as (world, _):
        world.cluster.away = True
        await eventually_async(lambda: _watchers(world), lambda seen: seen == 0)
        world.cluster.remove("ToolGrant", "bank")
        world.cluster.away = False
        await eventually_async(lambda: refusal(world), lambda seen: seen == "Revoked")


async def _watchers(world: Served) -> int:
    return len(world.cluster._watchers)


async def test_the_floor_of_the_install_namespace_holds_in_others() -> None:
    async with governed() as (world, bank):
        floor = a_policy(a_rule("floor", "Deny", "risk == 'Financial'"), a_rule())
        floor["metadata"] |= {"namespace": "remit-system", "name": "floor"}
        floor["spec"]["namespaceSelector"] = {}
        world.cluster.put(floor)
        await eventually_async(lambda: refusal(world, "credit"), lambda seen: seen == "PolicyDenied")
        bank.requests.clear()
        assert await refusal(world, "credit", "c9") == "PolicyDenied"
        assert not bank.calls


async def test_a_run_that_lost_its_form_is_refused_and_harms_nobody_else() -> None:
    async with governed() as (world, bank):
        waiting_for(bank)
        asking = asyncio.ensure_future(refusal(world))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 1)
        world.cluster.change("AgentRun", "run-1", attempt="none")
        assert await asking == "RunNotFound"
        assert await eventually_async(lambda: refusal(world)) == "RunNotFound"
        assert (await world.control("/readyz"))[0] == 200


async def tools_of(world: Served) -> Any:
    answer = (await world.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))[1]
    return answer["result"]["tools"]


async def test_a_call_that_waited_past_the_end_of_its_grant_does_not_go_out() -> None:
    soon = datetime.fromtimestamp(SystemClock().now() + 1, UTC).isoformat().replace("+00:00", "Z")
    async with governed(grant={"notAfter": soon}) as (world, bank):
        waiting_for(bank)
        first = asyncio.ensure_future(refusal(world))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 1)
        second = asyncio.ensure_future(refusal(world))
        await eventually_async(lambda: tools_of(world), lambda tools: tools == [], why="the grant has ended")
        bank.gate.set()
        await first
        assert await second == "GrantExpired"
        assert bank.calls == 1


async def test_a_bound_that_is_lowered_holds_for_runs_under_way() -> None:
    async with governed() as (world, _):
        assert (await world.post(CHAT, a_chat()))[0] == 200
        world.cluster.change("Agent", "clerk", loop={"maxIterations": 1})

        async def refused() -> Any:
            return (await world.post(CHAT, a_chat()))[1].get("error", {}).get("code")

        assert await eventually_async(refused) == "IterationsExhausted"
