"""Tool calls through a gateway: what passes, what is refused, and what stands in the evidence."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from tests.support.fake_authority import a_policy, a_rule, a_tool
from tests.support.fake_upstream import hang_up, tool_result
from tests.support.gateway_process import SECRET, reason_of
from tests.support.governed import governed
from tests.support.polling import eventually_async


async def test_a_granted_call_reaches_its_upstream_with_the_secret_and_leaves_intent_and_outcome() -> None:
    async with governed() as (world, bank):
        answer = await world.call("credit", {"amount": 5}, "c1")
        assert answer["result"]["content"][0]["text"] == '{"amount": 5}'
        assert answer["result"]["_meta"]["remit.dev/budget"] == "ok"
        headers, body = bank.requests[0]
        assert headers["X-Bank-Key"] == SECRET
        assert headers["Idempotency-Key"] == body["params"]["_meta"]["remit.dev/idempotency-key"]
        assert await world.kinds() == ["bundle", "intent", "outcome"]


async def test_a_read_carries_no_idempotency_key_and_is_made_again() -> None:
    async with governed() as (world, bank):
        await world.call("look", {"amount": 1}, "c1")
        await world.call("look", {"amount": 1}, "c1")
        assert bank.calls == 2
        assert "Idempotency-Key" not in bank.requests[0][0]


async def test_the_same_write_again_has_the_recorded_answer() -> None:
    async with governed() as (world, bank):
        first = await world.call("credit", {"amount": 5}, "c1")
        again = await world.call("credit", {"amount": 5}, "c1")
        assert again["result"]["content"] == first["result"]["content"]
        assert bank.calls == 1
        assert await world.kinds() == ["bundle", "intent", "outcome"]


async def test_the_same_call_id_with_other_arguments_is_refused() -> None:
    async with governed() as (world, bank):
        await world.call("credit", {"amount": 5}, "c1")
        assert reason_of(await world.call("credit", {"amount": 6}, "c1")) == "KeyReused"
        assert bank.calls == 1


async def test_an_identical_write_under_a_new_id_is_a_duplicate_to_the_rules() -> None:
    rules = a_rule("no-duplicates", "Deny", "duplicate && risk == 'Financial'"), a_rule()
    async with governed(a_policy(*rules)) as (world, bank):
        await world.call("credit", {"amount": 5}, "c1")
        assert reason_of(await world.call("credit", {"amount": 5}, "c2")) == "PolicyDenied"
        assert bank.calls == 1


async def test_a_call_without_an_id_is_known_by_its_turn_and_arguments() -> None:
    async with governed() as (world, bank):
        await world.call("credit", {"amount": 5})
        await world.call("credit", {"amount": 5})
        await world.call("credit", {"amount": 6})
        assert bank.calls == 2


async def test_two_at_once_under_one_id_are_one_call() -> None:
    async with governed() as (world, bank):

        async def slowly(_request: web.Request, body: Any) -> web.StreamResponse:
            await bank.gate.wait()
            return web.json_response(tool_result(body))

        bank.serve = slowly
        both = [asyncio.ensure_future(world.call("credit", {"amount": 5}, "c1")) for _ in range(2)]
        await eventually_async(lambda: _calls(bank), lambda calls: calls == 1)
        bank.gate.set()
        answers = await asyncio.gather(*both)
        assert answers[0]["result"]["content"] == answers[1]["result"]["content"]
        assert bank.calls == 1


async def _calls(bank: Any) -> int:
    calls: int = bank.calls
    return calls


async def test_an_unknown_tool_is_a_protocol_error_and_a_denial() -> None:
    async with governed() as (world, bank):
        answer = await world.call("steal")
        assert answer["error"]["data"]["reason"] == "ToolNotGranted"
        assert await world.kinds() == ["bundle", "denial"]
        assert not bank.calls


@pytest.mark.parametrize("arguments", [{"amount": "much"}, {"amount": 1, "extra": True}, {"amount": 1.5}])
async def test_arguments_outside_the_schema_are_told_to_the_agent(arguments: dict[str, Any]) -> None:
    async with governed() as (world, bank):
        answer = await world.call("credit", arguments)
        assert reason_of(answer) == "InvalidArguments"
        assert answer["result"]["isError"] is True
        assert not bank.calls


async def test_a_denied_call_hears_the_rule_and_its_message() -> None:
    rules = a_rule("limit", "Deny", "risk == 'Financial' && arguments.amount > 100"), a_rule()
    async with governed(a_policy(*rules)) as (world, bank):
        answer = await world.call("credit", {"amount": 500}, "c1")
        assert reason_of(answer) == "PolicyDenied"
        assert "the rule limit says so" in answer["result"]["content"][0]["text"]
        assert "bank/rules/limit" in answer["result"]["content"][0]["text"]
        decision = (await world.entries())[-1]["predicate"]["decision"]
        assert (decision["rule"], decision["policy"], decision["effect"]) == ("limit", "bank/rules", "Deny")
        assert not bank.calls


async def test_what_needs_an_approval_is_refused() -> None:
    async with governed(a_policy(a_rule("ask", "RequireApproval"))) as (world, bank):
        assert reason_of(await world.call("credit", {"amount": 5})) == "ApprovalUnavailable"
        assert await world.kinds() == ["bundle", "denial"]
        assert not bank.calls


async def test_an_erring_rule_is_a_deny() -> None:
    async with governed(a_policy(a_rule("broken", "Deny", "arguments.nothing > 1"), a_rule())) as (world, _):
        assert reason_of(await world.call("credit", {"amount": 5})) == "RuleError"


async def test_a_constraint_of_the_grant_is_told() -> None:
    tool = a_tool(
        "credit", "Financial", constraints=[{"expression": "arguments.amount <= 10", "message": "at most 10"}]
    )
    async with governed(tools=(tool,)) as (world, _):
        answer = await world.call("credit", {"amount": 50})
        assert reason_of(answer) == "ConstraintViolated"
        assert "at most 10" in answer["result"]["content"][0]["text"]


async def test_the_number_of_calls_is_bounded_by_the_budget() -> None:
    async with governed(a_policy(toolCalls=2)) as (world, bank):
        await world.call("look", {}, "c1")
        await world.call("look", {}, "c2")
        answer = await world.call("look", {}, "c3")
        assert reason_of(answer) == "BudgetExhausted"
        assert answer["result"]["_meta"]["remit.dev/budget"] == "exhausted"
        assert bank.calls == 2


def _answering(status: int, body: bytes, **headers: str) -> Callable[[web.Request, Any], Awaitable[web.Response]]:
    async def answer(_request: web.Request, _body: Any) -> web.Response:
        return web.Response(status=status, body=body, headers={"Content-Type": "application/json"} | headers)

    return answer


async def test_an_echoed_secret_never_reaches_the_agent_or_the_evidence() -> None:
    async with governed() as (world, bank):

        async def echo(_request: web.Request, body: Any) -> web.StreamResponse:
            return web.json_response(tool_result(body, structuredContent={"debug": f"key {SECRET}"}))

        bank.serve = echo
        answer = await world.call("look", {})
        assert SECRET not in str(answer)
        assert SECRET not in str(await world.entries())
        assert "[redacted]" in answer["result"]["structuredContent"]["debug"]


async def test_a_redirect_is_not_followed() -> None:
    async with governed() as (world, bank):
        bank.serve = _answering(307, b"", Location="http://elsewhere.example/mcp")
        assert reason_of(await world.call("look", {})) == "UpstreamRedirected"
        assert bank.calls == 1


async def test_garbage_to_a_read_is_an_error_that_the_agent_hears() -> None:
    async with governed() as (world, bank):
        bank.serve = _answering(200, b"<html>")
        assert reason_of(await world.call("look", {})) == "UpstreamMalformed"
        assert (await world.entries())[-1]["predicate"]["status"] == "error"


async def test_an_upstream_that_is_down_costs_nothing() -> None:
    async with governed(grant={"upstream": {"mcp": {"url": "http://127.0.0.1:1/mcp"}}}) as (world, _):
        assert reason_of(await world.call("credit", {"amount": 5})) == "UpstreamUnreachable"
        outcome = (await world.entries())[-1]["predicate"]
        assert outcome["status"] == "error"
        assert outcome["spent"]["toolCalls"] == 0
        _, view = await world.control("/control/v1/runs/bank/run-1")
        assert view["held"]["toolCalls"] == 0


async def test_a_known_error_of_a_write_is_an_error_and_the_run_goes_on() -> None:
    async with governed() as (world, bank):
        bank.serve = _answering(400, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "no"}}')
        assert reason_of(await world.call("credit", {"amount": 5}, "c1")) == "UpstreamError"
        bank.serve = None
        assert "result" in await world.call("credit", {"amount": 5}, "c2")


@pytest.mark.parametrize("how", ["hangs up", "garbage", "fails"])
async def test_a_lost_answer_to_a_write_ends_the_run_and_names_the_call(how: str) -> None:
    async with governed() as (world, bank):
        bank.serve = {"hangs up": hang_up, "garbage": _answering(200, b"{"), "fails": _answering(500, b"oops")}[how]
        assert reason_of(await world.call("credit", {"amount": 5}, "c1")) == "OutcomeUnknown"
        status = await eventually_async(lambda: _status(world), lambda seen: "outcome" in seen)
        assert status["outcome"]["reason"] == "OutcomeUnknown"
        assert "bank/credit (call c1" in status["outcome"]["message"]
        assert status["usage"]["toolCalls"] == 1
        assert await world.kinds() == ["bundle", "intent", "outcome", "run-end"]
        assert reason_of(await world.call("look", {})) == "RunNotActive"


async def test_a_slow_read_is_given_up_in_time() -> None:
    async with governed(tools=(a_tool("look", timeoutSeconds=1),)) as (world, bank):

        async def never(_request: web.Request, _body: Any) -> web.StreamResponse:
            await bank.gate.wait()
            return web.Response()

        bank.serve = never
        assert reason_of(await world.call("look", {})) == "UpstreamTimeout"


async def test_too_many_refused_calls_end_the_run() -> None:
    async with governed(a_policy(a_rule("never", "Deny"))) as (world, _):
        for _ in range(101):
            await world.call("look", {})
        status = await eventually_async(lambda: _status(world), lambda seen: "outcome" in seen)
        assert status["outcome"]["reason"] == "PolicyViolation"
        assert status["usage"]["refusedCalls"] == 101
        assert reason_of(await world.call("look", {})) == "RunNotActive"


async def _status(world: Any) -> Any:
    return world.cluster.status_of("AgentRun", "run-1")


async def test_tools_are_listed_as_they_are_granted_now() -> None:
    async with governed() as (world, _):
        listed = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
        _, answer, _ = await world.post("/mcp", listed)
        assert [tool["name"] for tool in answer["result"]["tools"]] == ["credit", "look"]
        world.cluster.change("ToolGrant", "bank", suspended=True)
        answer = await eventually_async(
            lambda: world.post("/mcp", listed), lambda seen: not seen[1]["result"]["tools"], why="suspended"
        )


async def test_the_handshake_of_older_clients_works() -> None:
    async with governed() as (world, _):
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
        status, answer, _ = await world.post("/mcp", hello)
        assert (status, answer["result"]["protocolVersion"]) == (200, "2025-11-25")
        status, _, _ = await world.post("/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert status == 202
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look", "arguments": {}}}
        _, answer, _ = await world.post("/mcp", call, **{"MCP-Protocol-Version": "2025-11-25"})
        assert answer["result"]["content"][0]["text"] == "{}"


async def test_a_write_that_certainly_failed_is_no_duplicate() -> None:
    rules = a_rule("no-duplicates", "Deny", "duplicate"), a_rule()
    async with governed(a_policy(*rules)) as (world, bank):
        bank.serve = _answering(400, b"no")
        assert reason_of(await world.call("credit", {"amount": 5}, "c1")) == "UpstreamError"
        bank.serve = None
        assert reason_of(await world.call("credit", {"amount": 5}, "c2")) == ""
        assert reason_of(await world.call("credit", {"amount": 5}, "c3")) == "PolicyDenied"


async def test_of_two_identical_writes_at_once_one_is_a_duplicate() -> None:
    rules = a_rule("no-duplicates", "Deny", "duplicate"), a_rule()
    async with governed(a_policy(*rules)) as (world, bank):
        both = [world.call("credit", {"amount": 5}, call_id) for call_id in ("c1", "c2")]
        reasons = sorted([reason_of(answer) for answer in await asyncio.gather(*both)])
        assert reasons == ["", "PolicyDenied"]
        assert bank.calls == 1
