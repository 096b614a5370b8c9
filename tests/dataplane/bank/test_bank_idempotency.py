"""The same idempotency key has one effect, however often and however concurrently it comes."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from tests.dataplane.bank.servers import LEGACY, MODERN, Bank, Claim, open_dispute, start_bank

META_KEY = "remit.dev/idempotency-key"


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_a_hundred_calls_at_once_under_one_key_are_one_effect(bank: Bank, claim: Claim, era: str) -> None:
    async with bank.client(era, Idempotency_Key=f"once-{claim.account}") as client:
        calls = (client.call_tool("open_dispute", claim.opening) for _ in range(100))
        answers = await asyncio.gather(*calls)
    found = bank.contents(claim.account)
    assert Counter(row["outcome"] for row in found["writes"]) == {"applied": 1, "replayed": 99}
    assert {answer.structured_content["dispute_id"] for answer in answers} == {found["disputes"][0]["dispute_id"]}


async def test_the_same_key_with_other_arguments_is_an_error(bank: Bank, claim: Claim) -> None:
    async with bank.client(Idempotency_Key=f"other-{claim.account}") as client:
        await open_dispute(client, claim)
        other = await client.call_tool("open_dispute", {**claim.opening, "amount_cents": 1})
    assert other.structured_content["error"]["reason"] == "IdempotencyConflict"
    assert len(bank.contents(claim.account)["disputes"]) == 1


async def test_the_same_key_for_another_tool_is_an_error(bank: Bank, claim: Claim) -> None:
    async with bank.client(Idempotency_Key=f"tool-{claim.account}") as client:
        dispute_id = await open_dispute(client, claim)
        closing = {"dispute_id": dispute_id, "resolution": "withdrawn"}
        other = await client.call_tool("close_dispute", closing)
    assert other.structured_content["error"]["reason"] == "IdempotencyConflict"


async def test_the_order_of_arguments_does_not_matter(bank: Bank, claim: Claim) -> None:
    turned = dict(reversed(claim.opening.items()))
    async with bank.client(Idempotency_Key=f"order-{claim.account}") as client:
        first = await client.call_tool("open_dispute", claim.opening)
        second = await client.call_tool("open_dispute", turned)
    assert first.structured_content == second.structured_content


async def test_a_refusal_is_answered_from_record_too(bank: Bank, claim: Claim) -> None:
    async with bank.client(Idempotency_Key=f"refused-{claim.account}") as client:
        opening = {**claim.opening, "amount_cents": 99999}
        answers = [await client.call_tool("open_dispute", opening) for _ in range(2)]
    assert [answer.structured_content["error"]["reason"] for answer in answers] == ["AmountTooHigh"] * 2


async def test_the_key_may_come_in_meta(bank: Bank, claim: Claim) -> None:
    meta: Any = {META_KEY: f"meta-{claim.account}"}
    async with bank.client() as client:
        for _ in range(2):
            result = await client.call_tool("open_dispute", claim.opening, meta=meta)
            assert not result.is_error
    assert bank.contents(claim.account)["writes"][0]["idempotency_key"] == f"meta-{claim.account}"


async def test_two_different_keys_at_once_are_refused(bank: Bank, claim: Claim) -> None:
    meta: Any = {META_KEY: "two"}
    async with bank.client(Idempotency_Key="one") as client:
        with pytest.raises(MCPError, match="two different idempotency keys"):
            await client.call_tool("open_dispute", claim.opening, meta=meta)
    assert bank.contents(claim.account)["disputes"] == []


async def test_an_overlong_key_is_refused(bank: Bank, claim: Claim) -> None:
    async with bank.client(Idempotency_Key="k" * 256) as client:
        with pytest.raises(MCPError, match="1 to 255"):
            await client.call_tool("open_dispute", claim.opening)


async def test_without_a_key_each_call_is_an_effect(bank: Bank, claim: Claim) -> None:
    async with bank.client() as client:
        dispute_id = await open_dispute(client, claim)
        letter = {"account": claim.account, "dispute_id": dispute_id, "template": "human_review", "fields": {}}
        for _ in range(2):
            await client.call_tool("send_letter", letter)
    assert len(bank.contents(claim.account)["letters"]) == 2


async def test_many_credits_at_once_never_exceed_the_dispute(bank: Bank, claim: Claim) -> None:
    async with bank.client() as client:
        credit = {
            "account": claim.account,
            "dispute_id": await open_dispute(client, claim),
            "amount_cents": 1000,
        }
        await asyncio.gather(*(client.call_tool("issue_provisional_credit", credit) for _ in range(30)))
    found = bank.contents(claim.account)
    assert sum(row["amount_cents"] for row in found["provisional_credits"]) == 12000
    assert found["accounts"][0]["balance_cents"] == 112000


async def test_a_key_is_remembered_over_kill_9(tmp_path: Path) -> None:
    claim = Claim("ACC-4711", "TXN-471103")
    answers = []
    for _ in range(2):
        bank = Bank(start_bank(tmp_path / "bank.db"), tmp_path / "bank.db")
        async with bank.client(Idempotency_Key="survivor") as client:
            answers.append(await open_dispute(client, claim))
        bank.server.kill()
    assert answers[0] == answers[1]
    assert [row["outcome"] for row in bank.contents("ACC-4711")["writes"]] == ["applied", "replayed"]
