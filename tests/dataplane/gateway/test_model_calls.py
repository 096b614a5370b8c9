"""Model calls through a gateway: OpenAI and Anthropic, whole and streamed, each paid for before and settled after."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from tests.support.fake_authority import a_policy, a_rule, an_agent
from tests.support.fake_upstream import completion, hang_up
from tests.support.gateway_process import Served, reason_of
from tests.support.governed import CHAT, MESSAGES, a_chat, governed
from tests.support.polling import eventually_async

ANTHROPIC = {"model": "scripted", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}


async def spent(world: Served) -> dict[str, int]:
    _, view = await world.control("/control/v1/runs/bank/run-1")
    assert view["held"] == {"tokens": 0, "toolCalls": 0, "costMicroUSD": 0}
    found: dict[str, int] = view["spent"]
    return found


async def test_a_completion_is_settled_by_what_the_provider_counted() -> None:
    async with governed() as (world, bank):
        status, answer, headers = await world.post(CHAT, a_chat())
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "done")
        assert headers["Remit-Budget"] == "ok"
        assert await world.kinds() == ["bundle", "intent", "outcome"]
        assert (await spent(world))["tokens"] == 15
        held = (await world.entries())[1]["predicate"]["held"]
        assert held["tokens"] > 256
        assert bank.requests[0][1]["max_completion_tokens"] == 256


async def test_more_output_than_the_agent_may_have_is_cut() -> None:
    async with governed() as (world, bank):
        await world.post(CHAT, a_chat(max_tokens=5000))
        assert bank.requests[0][1]["max_tokens"] == 256


async def test_output_is_cut_to_what_the_budget_affords_and_then_refused() -> None:
    async with governed(a_policy(tokens=350, handoffPercent=10)) as (world, bank):
        status, _, _ = await world.post(CHAT, a_chat())
        assert status == 200
        assert bank.requests[0][1]["max_completion_tokens"] < 256
        bank.serve = None

        async def hungry(_request: web.Request, _body: Any) -> web.Response:
            return web.json_response(completion("much", prompt_tokens=100, completion_tokens=250))

        bank.serve = hungry
        await world.post(CHAT, a_chat())
        status, answer, headers = await world.post(CHAT, a_chat())
        assert (status, answer["error"]["code"]) == (403, "BudgetExhausted")
        assert headers["x-should-retry"] == "false"
        assert headers["Remit-Budget"] == "exhausted"


async def test_the_hand_over_call_has_its_share_and_is_made_once() -> None:
    async with governed(a_policy(tokens=600, handoffPercent=50)) as (world, _):
        for _ in range(5):
            await world.post(CHAT, a_chat())
        status, answer, _ = await world.post(CHAT, a_chat("x" * 250))
        assert answer["error"]["code"] == "BudgetExhausted"
        status, answer, _ = await world.post(CHAT, a_chat(max_tokens=20), **{"Remit-Hand-Over": "true"})
        assert status == 200
        status, answer, _ = await world.post(CHAT, a_chat(max_tokens=20), **{"Remit-Hand-Over": "true"})
        assert (status, answer["error"]["code"]) == (403, "HandedOver")
        assert reason_of(await world.call("look", {})) == "HandedOver"


async def test_an_overrun_is_recorded_not_hidden() -> None:
    async with governed() as (world, bank):

        async def wasteful(_request: web.Request, _body: Any) -> web.Response:
            return web.json_response(completion("much", prompt_tokens=5000, completion_tokens=250))

        bank.serve = wasteful
        await world.post(CHAT, a_chat())
        outcome = (await world.entries())[-1]["predicate"]
        assert outcome["spent"]["tokens"] == 5250
        assert outcome["overrun"]["tokens"] > 4000


async def test_the_number_of_model_calls_is_bounded() -> None:
    async with governed(an_agent(loop={"maxIterations": 2})) as (world, _):
        assert (await world.post(CHAT, a_chat()))[0] == 200
        assert (await world.post(CHAT, a_chat()))[0] == 200
        status, answer, _ = await world.post(CHAT, a_chat())
        assert (status, answer["error"]["code"]) == (403, "IterationsExhausted")


async def test_a_model_without_a_price_is_refused() -> None:
    async with governed() as (world, bank):
        status, answer, _ = await world.post(CHAT, a_chat() | {"model": "dear"})
        assert (status, answer["error"]["code"]) == (403, "UnknownPrice")
        assert await world.kinds() == ["bundle", "denial"]
        assert not bank.calls


async def test_content_without_a_bound_is_refused_and_recorded() -> None:
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x.example/p"}}]}
    async with governed() as (world, bank):
        status, answer, _ = await world.post(CHAT, a_chat() | {"messages": [picture]})
        assert (status, answer["error"]["code"]) == (422, "UnboundedContent")
        assert await world.kinds() == ["bundle", "denial"]
        assert not bank.calls


async def test_a_rule_may_refuse_a_model() -> None:
    rules = a_rule("no-model", "Deny", "true", ("model/scripted",)), a_rule()
    async with governed(a_policy(*rules)) as (world, bank):
        status, answer, _ = await world.post(CHAT, a_chat())
        assert (status, answer["error"]["code"]) == (403, "PolicyDenied")
        assert not bank.calls


@pytest.mark.parametrize("status", [429, 500])
async def test_a_provider_that_refuses_costs_nothing(status: int) -> None:
    async with governed() as (world, bank):

        async def refuse(_request: web.Request, _body: Any) -> web.Response:
            return web.json_response({"error": {"message": "busy"}}, status=status)

        bank.serve = refuse
        code, answer, _ = await world.post(CHAT, a_chat())
        assert (code, answer["error"]["code"]) == (502, "UpstreamError")
        assert (await spent(world))["tokens"] == 0


async def test_a_lost_answer_costs_the_whole_hold_and_the_run_goes_on() -> None:
    async with governed() as (world, bank):
        bank.serve = hang_up
        status, _, _ = await world.post(CHAT, a_chat())
        assert status == 502
        assert (await spent(world))["tokens"] > 256
        bank.serve = None
        assert (await world.post(CHAT, a_chat()))[0] == 200


def events(*values: Any, done: bool = True) -> bytes:
    told = [b"data: " + (json.dumps(value).encode()) + b"\n\n" for value in values]
    return b"".join(told) + (b"data: [DONE]\n\n" if done else b"")


def streaming(body: bytes, *, breaks: bool = False) -> Any:
    async def stream(request: web.Request, _body: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for place in range(0, len(body), 37):
            await response.write(body[place : place + 37])
        if breaks:
            assert request.transport is not None
            request.transport.close()
        return response

    return stream


HELLO = {"choices": [{"index": 0, "delta": {"content": "hel"}}]}
LO = {"choices": [{"index": 0, "delta": {"content": "lo"}}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 7}}


async def test_a_stream_passes_and_is_settled_by_its_usage() -> None:
    async with governed() as (world, bank):
        bank.serve = streaming(events(HELLO, LO, USAGE))
        status, text, headers = await world.post(CHAT, a_chat(stream=True))
        assert (status, headers["Content-Type"], headers["Remit-Budget"]) == (200, "text/event-stream", "ok")
        assert text.endswith(b"data: [DONE]\n\n")
        assert b"hel" in text
        assert b"usage" not in text
        assert bank.requests[0][1]["stream_options"] == {"include_usage": True}
        assert (await spent(world))["tokens"] == 17
        assert (await world.entries())[-1]["predicate"]["resultDigest"]


async def test_a_broken_stream_says_so_and_costs_the_whole_hold() -> None:
    async with governed() as (world, bank):
        bank.serve = streaming(events(HELLO, done=False), breaks=True)
        status, text, _ = await world.post(CHAT, a_chat(stream=True))
        assert status == 200
        assert b"UpstreamMalformed" in text
        assert b"[DONE]" not in text
        assert (await spent(world))["tokens"] > 256
        assert (await world.entries())[-1]["predicate"]["status"] == "error"


async def test_a_stream_is_cut_when_its_grant_is_suspended() -> None:
    async with governed() as (world, bank):

        async def endless(request: web.Request, _body: Any) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(events(HELLO, done=False))
            await bank.gate.wait()
            return response

        bank.serve = endless
        body = json.dumps(a_chat(stream=True)).encode()
        headers = {"Authorization": "Bearer good-token"}
        async with world.session.post(world.url + CHAT, data=body, headers=headers) as answer:
            assert b"hel" in await answer.content.readline()
            world.cluster.change("ToolGrant", "model", suspended=True)
            rest = await answer.content.read()
        assert b"GrantSuspended" in rest
        assert (await world.entries())[-1]["predicate"]["reason"] == "GrantSuspended"


async def test_anthropic_messages_are_answered_and_settled() -> None:
    async with governed(api="Anthropic") as (world, bank):

        async def reply(request: web.Request, _body: Any) -> web.Response:
            assert request.path == "/v1/messages"
            usage = {"input_tokens": 9, "output_tokens": 4}
            return web.json_response({"content": [{"type": "text", "text": "hi"}], "usage": usage})

        bank.serve = reply
        status, answer, _ = await world.post(MESSAGES + "/v1/messages", ANTHROPIC)
        assert (status, answer["content"][0]["text"]) == (200, "hi")
        assert (await spent(world))["tokens"] == 13


async def test_anthropic_streams_are_settled_by_their_last_count() -> None:
    told = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 6}},
        {"type": "message_stop"},
    ]
    async with governed(api="Anthropic") as (world, bank):
        bank.serve = streaming(events(*told, done=False))
        status, text, _ = await world.post(MESSAGES + "/v1/messages", ANTHROPIC | {"stream": True})
        assert status == 200
        assert b"message_stop" in text
        assert (await spent(world))["tokens"] == 15


async def test_a_refusal_to_anthropic_has_its_form() -> None:
    async with governed(api="Anthropic") as (world, _):
        status, answer, headers = await world.post(MESSAGES + "/v1/messages", ANTHROPIC | {"model": "dear"})
        assert (status, answer["type"], answer["error"]["type"]) == (403, "error", "permission_error")
        assert headers["Remit-Reason"] == "UnknownPrice"


async def test_a_tool_call_without_an_id_has_that_of_the_models_answer() -> None:
    asked = [{"id": "call_7", "type": "function", "function": {"name": "credit", "arguments": '{"amount": 5}'}}]
    async with governed() as (world, bank):

        async def ask(_request: web.Request, _body: Any) -> web.Response:
            return web.json_response(completion("", asked))

        bank.serve = ask
        await world.post(CHAT, a_chat())
        bank.serve = None
        await world.call("credit", {"amount": 5})
        assert (await world.entries())[-1]["predicate"]["call"]["id"] == "call_7"


async def test_a_soft_limit_is_told_to_the_agent_and_once_to_the_status() -> None:
    async with governed(a_policy(tokens=700, softPercent=1)) as (world, _):
        _, _, headers = await world.post(CHAT, a_chat(max_tokens=20))
        assert headers["Remit-Budget"] == "soft"
        await world.post(CHAT, a_chat(max_tokens=20))
        status = await eventually_async(lambda: _status(world), lambda seen: "usage" in seen)
        assert status["usage"]["tokens"] == 15
        of_run = [each for each in world.cluster.statuses if each["kind"] == "AgentRun"]
        assert len(of_run) == 1


async def _status(world: Served) -> Any:
    return world.cluster.status_of("AgentRun", "run-1")


async def test_calls_at_once_wait_for_each_others_holds_and_exhaust_nothing() -> None:
    async with governed(a_policy(tokens=400, handoffPercent=1)) as (world, _):
        answers = await asyncio.gather(*(world.post(CHAT, a_chat(max_tokens=100)) for _ in range(6)))
        assert [status for status, _, _ in answers] == [200] * 6
        assert (await spent(world))["tokens"] == 90


async def test_a_provider_that_does_not_stream_is_answered_whole() -> None:
    async with governed() as (world, _):
        status, answer, headers = await world.post(CHAT, a_chat(stream=True))
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "done")
        assert headers["Content-Type"] == "application/json"
        assert (await spent(world))["tokens"] == 15


async def test_an_agent_that_named_no_known_api_has_no_model() -> None:
    async with governed(api="Anthropic") as (world, bank):
        status, answer, _ = await world.post(CHAT, a_chat())
        assert (status, answer["error"]["code"]) == (403, "UnknownPrice")
        assert not bank.calls


async def test_a_call_id_that_is_too_long_is_malformed() -> None:
    async with governed() as (world, _):
        status, answer, _ = await world.post(CHAT, a_chat(), **{"Remit-Call-Id": "x" * 500})
        assert (status, answer["error"]["code"]) == (400, "Malformed")
