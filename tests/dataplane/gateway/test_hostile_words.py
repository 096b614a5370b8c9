"""Words of an agent or of a provider that no store, status or terminal should ever have to bear."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway_process import Served, reason_of
from tests.support.governed import CHAT, a_chat, governed
from tests.support.memory_ledger import signer_for_tests
from tests.support.polling import eventually_async

from remit.adapters.sqlite_ledger import SqliteLedger
from remit.api.agentrun import Usage

LONE, COLOUR = "\ud800", "\x1b[31mpaid\x1b[0m\nSucceeded"
HUGE = 10**30


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Served, FakeUpstream]]:
    """A gateway on the real store."""
    ledger = await SqliteLedger.open(tmp_path / "ledger.sqlite", signer_for_tests())
    async with governed(ledger=ledger) as both:
        yield both
    await ledger.close()


def a_completion(usage: dict[str, Any], *calls: dict[str, Any]) -> dict[str, Any]:
    """A provider's answer that asks for tool calls."""
    return {"choices": [{"message": {"role": "assistant", "tool_calls": list(calls)}}], "usage": usage}


def answering(bank: FakeUpstream, body: dict[str, Any]) -> None:
    async def serve(_request: web.Request, _body: Any) -> web.StreamResponse:
        return web.json_response(body)

    bank.serve = serve


@pytest.mark.parametrize("call_id", [LONE, COLOUR, "x" * 129])
async def test_a_call_id_is_one_printable_word(served: tuple[Served, FakeUpstream], call_id: str) -> None:
    status, answer, _ = await served[0].call_raw("look", {}, call_id)
    assert (status, answer["error"]["data"]["reason"]) == (400, "Malformed")


async def test_what_an_agent_says_of_its_end_is_plain_text(served: tuple[Served, FakeUpstream]) -> None:
    world, _ = served
    said = {"outcome": "Failed", "stop": "Answered", "message": f"{LONE}no {COLOUR}"}
    assert (await world.post("/run/v1/result", said))[0] == 200

    async def told() -> Any:
        return world.cluster.status_of("AgentRun", "run-1").get("outcome", {}).get("message")

    assert await eventually_async(told) == "no  [31mpaid [0m Succeeded"


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": HUGE, "completion_tokens": 1}, {"completion_tokens": HUGE}], ids=str
)
async def test_a_count_that_nobody_can_hold_costs_the_whole_hold(
    served: tuple[Served, FakeUpstream], usage: dict[str, int]
) -> None:
    world, bank = served
    answering(bank, a_completion(usage))
    assert (await world.post(CHAT, a_chat()))[0] == 502
    seen = (await world.control("/control/v1/runs/bank/run-1"))[1]
    assert (seen["held"]["tokens"], seen["overrun"]["tokens"]) == (0, 0)
    assert 0 < seen["spent"]["tokens"] < 2000
    await world.post("/run/v1/result", {"outcome": "Failed", "stop": "Answered"})

    async def told() -> Any:
        return world.cluster.status_of("AgentRun", "run-1").get("usage")

    assert Usage.model_validate(await eventually_async(told)).tokens < 2000


@pytest.mark.parametrize(
    "call",
    [
        {"id": LONE, "function": {"name": "look", "arguments": "{}"}},
        {"id": 5, "function": {"name": "look", "arguments": "{}"}},
        {"id": "x" * 100_000, "function": {"name": "look", "arguments": "{}"}},
        {"id": "c1", "function": {"name": LONE, "arguments": "{}"}},
        {"id": "c1", "function": {"name": "look", "arguments": {"amount": 5}}},
        {"id": "c1", "function": {"name": "look", "arguments": LONE}},
    ],
    ids=lambda call: ascii(call)[:60],
)
async def test_a_models_tool_call_that_nobody_can_make_is_settled_all_the_same(
    served: tuple[Served, FakeUpstream], call: dict[str, Any]
) -> None:
    world, bank = served
    answering(bank, a_completion({"prompt_tokens": 1, "completion_tokens": 1}, call))
    assert (await world.post(CHAT, a_chat()))[0] in {200, 502}
    assert (await world.control("/control/v1/runs/bank/run-1"))[1]["held"]["tokens"] == 0
    assert await world.kinds() == ["bundle", "intent", "outcome"]
    bank.serve = None
    assert reason_of(await world.call("look", {}, "c9")) == ""
