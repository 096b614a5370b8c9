"""Each dialogue, told by the scripted model to a small agent whose tools are the real bank's."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from mcp import Client
from tests.dataplane.bank.agents import Story, Tools, anthropic_agent, openai_agent
from tests.dataplane.bank.servers import Bank, Claim, Server

WAYS: dict[str, Callable[..., Awaitable[Story]]] = {
    "openai, whole": openai_agent,
    "openai, streamed": partial(openai_agent, stream=True),
    "anthropic, whole": anthropic_agent,
    "anthropic, streamed": partial(anthropic_agent, stream=True),
}
PERIOD = {"from": "2026-05-01", "to": "2026-05-31"}


def task_of(claim: Claim) -> dict[str, Any]:
    return {"account": claim.account, "transaction_id": claim.transaction_id, "reason": "unauthorized", **PERIOD}


def tools_of(client: Client) -> Tools:
    """The bank's tools as a function."""

    async def use(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = (await client.call_tool(name, arguments)).structured_content
        return answer

    return use


@pytest.mark.parametrize("way", WAYS)
async def test_a_dispute_is_credited_and_the_customer_told(bank: Bank, model: Server, claim: Claim, way: str) -> None:
    async with bank.client() as client:
        story = await WAYS[way](model, "scripted-dispute", task_of(claim), tools_of(client))
    assert story.calls == [
        "get_account",
        "list_transactions",
        "get_transaction",
        "open_dispute",
        "issue_provisional_credit",
        "send_letter",
    ]
    found = bank.contents(claim.account)
    assert story.result == {
        "outcome": "provisionally_credited",
        "dispute_id": found["disputes"][0]["dispute_id"],
        "credit_id": found["provisional_credits"][0]["credit_id"],
        "letter_id": found["letters"][0]["letter_id"],
        "amount_cents": 12550,
    }


async def test_the_crash_dialogue_has_the_same_effects(bank: Bank, model: Server, claim: Claim) -> None:
    async with bank.client() as client:
        story = await openai_agent(model, "scripted-crash", task_of(claim), tools_of(client))
    assert story.result["outcome"] == "provisionally_credited"


async def test_a_tool_that_stays_refused_ends_with_an_error(model: Server, claim: Claim) -> None:
    async def refuse(_name: str, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {"error": {"reason": "GrantSuspended", "message": "no"}}

    story = await anthropic_agent(model, "scripted-dispute", task_of(claim), refuse)
    assert story.result["error"]["tool_said"]["error"]["reason"] == "GrantSuspended"


async def test_a_value_that_is_not_there_ends_with_an_error(model: Server) -> None:
    async def nothing(_name: str, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {}

    story = await openai_agent(model, "scripted-dispute", {"account": "ACC-4711"}, nothing)
    assert story.result["error"] == {"reason": "MissingValue", "message": "the conversation has no input.from"}
