"""A tool call through a real gateway: what passes, what is refused, what stands in the evidence."""

from tests.support.fake_authority import a_grant, a_model_grant
from tests.support.fake_upstream import upstream
from tests.support.gateway_process import a_world, reason_of, served


async def test_a_granted_call_reaches_its_upstream_with_the_secret_and_leaves_intent_and_outcome() -> None:
    async with upstream() as bank, served(a_world(a_grant(f"{bank.url}/mcp"), a_model_grant(bank.url))) as world:
        answer = await world.call("credit", {"amount": 5}, "c1")
        assert answer["result"]["content"][0]["text"] == '{"amount": 5}'
        headers, _ = bank.requests[0]
        assert headers["X-Bank-Key"] == "bank-secret-Q7"
        assert len(headers["Idempotency-Key"]) == 64
        assert await world.kinds() == ["bundle", "intent", "outcome"]


async def test_an_unknown_tool_is_a_protocol_error_and_a_denial() -> None:
    async with upstream() as bank, served(a_world(a_grant(f"{bank.url}/mcp"), a_model_grant(bank.url))) as world:
        answer = await world.call("steal")
        assert answer["error"]["data"]["reason"] == "ToolNotGranted"
        assert await world.kinds() == ["bundle", "denial"]
        assert not bank.calls


async def test_arguments_outside_the_schema_are_told_to_the_agent() -> None:
    async with upstream() as bank, served(a_world(a_grant(f"{bank.url}/mcp"), a_model_grant(bank.url))) as world:
        answer = await world.call("credit", {"amount": "much"})
        assert reason_of(answer) == "InvalidArguments"
        assert answer["result"]["isError"] is True
