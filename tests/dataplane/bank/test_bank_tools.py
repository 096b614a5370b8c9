"""The bank's tools over MCP, in both eras of the protocol, by the official client."""

from typing import Any

import pytest
from tests.dataplane.bank.servers import LEGACY, MODERN, Bank, Claim, open_dispute

ERAS = pytest.mark.parametrize("era", [MODERN, LEGACY])
NAMES = [
    "get_account",
    "list_transactions",
    "get_transaction",
    "get_dispute",
    "open_dispute",
    "issue_provisional_credit",
    "send_letter",
    "close_dispute",
]


@ERAS
async def test_offers_eight_tools_that_take_nothing_undeclared(bank: Bank, era: str) -> None:
    async with bank.client(era) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == NAMES
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools)


@ERAS
async def test_speaks_the_version_that_was_asked_for(bank: Bank, era: str) -> None:
    async with bank.client(era) as client:
        assert client.protocol_version == {MODERN: "2026-07-28", LEGACY: "2025-11-25"}[era]


@ERAS
async def test_a_dispute_from_claim_to_letter_moves_the_money(bank: Bank, claim: Claim, era: str) -> None:
    async with bank.client(era) as client:
        dispute_id = await open_dispute(client, claim)
        its = {"account": claim.account, "dispute_id": dispute_id}
        credit = await client.call_tool("issue_provisional_credit", {**its, "amount_cents": 12550})
        letter = {**its, "template": "provisional_credit", "fields": {"amount_cents": 12550}}
        await client.call_tool("send_letter", letter)
        dispute = await client.call_tool("get_dispute", {"dispute_id": dispute_id})
    assert credit.structured_content["balance_cents"] == 112550
    assert [row["template"] for row in dispute.structured_content["letters"]] == ["provisional_credit"]
    found = bank.contents(claim.account)
    assert [row["tool"] for row in found["writes"]] == ["open_dispute", "issue_provisional_credit", "send_letter"]


async def test_closing_in_the_banks_favor_takes_the_credit_back(bank: Bank, claim: Claim) -> None:
    async with bank.client() as client:
        dispute_id = await open_dispute(client, claim)
        credit = {"account": claim.account, "dispute_id": dispute_id, "amount_cents": 5000}
        await client.call_tool("issue_provisional_credit", credit)
        await client.call_tool("close_dispute", {"dispute_id": dispute_id, "resolution": "in_favor_of_bank"})
        again = await client.call_tool("issue_provisional_credit", credit)
    assert bank.contents(claim.account)["accounts"][0]["balance_cents"] == 100000
    assert again.structured_content["error"]["reason"] == "DisputeClosed"


async def test_reads_an_account_and_its_payments(bank: Bank) -> None:
    period = {"account": "ACC-4711", "from": "2026-05-10", "to": "2026-05-13"}
    async with bank.client() as client:
        account = await client.call_tool("get_account", {"account": "ACC-4711"})
        payments = await client.call_tool("list_transactions", period)
    assert account.structured_content["customer"] == "Maren Castellan"
    assert [row["transaction_id"] for row in payments.structured_content["transactions"]] == ["TXN-471103"]


REFUSALS: dict[str, tuple[str, dict[str, Any], str]] = {
    "an unknown account": ("get_account", {"account": "ACC-0000"}, "NotFound"),
    "an unknown dispute": ("get_dispute", {"dispute_id": "DSP-999999"}, "NotFound"),
    "an argument too many": ("get_account", {"account": "ACC-4711", "pin": 1}, "InvalidArguments"),
    "a missing argument": ("get_account", {}, "InvalidArguments"),
    "a number as a text": (
        "issue_provisional_credit",
        {"account": "ACC-4711", "dispute_id": "DSP-000001", "amount_cents": "1"},
        "InvalidArguments",
    ),
    "a credit of nothing": (
        "issue_provisional_credit",
        {"account": "ACC-4711", "dispute_id": "DSP-000001", "amount_cents": 0},
        "InvalidArguments",
    ),
    "free text beyond the bound": (
        "send_letter",
        {
            "account": "ACC-4711",
            "dispute_id": "DSP-000001",
            "template": "human_review",
            "fields": {"note": "x" * 281},
        },
        "InvalidArguments",
    ),
    "a payment of another account": (
        "open_dispute",
        {"account": "ACC-4711", "transaction_id": "TXN-471204", "reason": "duplicate", "amount_cents": 1},
        "NotFound",
    ),
    "more than was paid": (
        "open_dispute",
        {"account": "ACC-4711", "transaction_id": "TXN-471104", "reason": "duplicate", "amount_cents": 2301},
        "AmountTooHigh",
    ),
    "money that came in": (
        "open_dispute",
        {"account": "ACC-4711", "transaction_id": "TXN-471102", "reason": "duplicate", "amount_cents": 1},
        "NotDisputable",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_refuses_with_a_reason(bank: Bank, case: str) -> None:
    tool, arguments, reason = REFUSALS[case]
    async with bank.client() as client:
        result = await client.call_tool(tool, arguments)
    assert (result.is_error, result.structured_content["error"]["reason"]) == (True, reason)


async def test_disputes_a_payment_only_once(bank: Bank, claim: Claim) -> None:
    async with bank.client() as client:
        await open_dispute(client, claim)
        again = await client.call_tool("open_dispute", claim.opening)
    assert again.structured_content["error"]["reason"] == "AlreadyDisputed"


async def test_never_credits_more_than_is_disputed(bank: Bank, claim: Claim) -> None:
    async with bank.client() as client:
        its = {"account": claim.account, "dispute_id": await open_dispute(client, claim)}
        await client.call_tool("issue_provisional_credit", {**its, "amount_cents": 12000})
        more = await client.call_tool("issue_provisional_credit", {**its, "amount_cents": 551})
    assert more.structured_content["error"]["reason"] == "CreditExceedsDispute"
    assert [row["amount_cents"] for row in bank.contents(claim.account)["provisional_credits"]] == [12000]
