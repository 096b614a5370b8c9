"""Unmodified SDKs through the gateway: a base URL and the pod's token are all that they need."""

from typing import Any

import anthropic
import openai
import pytest
from aiohttp import web
from tests.support.fake_authority import TOKEN, a_policy
from tests.support.fake_upstream import completion
from tests.support.governed import governed

MESSAGES: Any = [{"role": "user", "content": "hello"}]


async def test_the_openai_sdk_talks_to_a_model() -> None:
    async with governed() as (world, _):
        async with openai.AsyncOpenAI(base_url=f"{world.url}/openai/v1", api_key=TOKEN) as client:
            answer = await client.chat.completions.create(model="scripted", messages=MESSAGES)
        assert answer.choices[0].message.content == "done"


async def test_the_openai_sdk_hears_a_refusal_once() -> None:
    async with governed(a_policy(tokens=20)) as (world, bank):
        async with openai.AsyncOpenAI(base_url=f"{world.url}/openai/v1", api_key=TOKEN) as client:
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await client.chat.completions.create(model="scripted", messages=MESSAGES)
        assert caught.value.code == "BudgetExhausted"
        assert not bank.calls
        assert await world.kinds() == ["bundle", "denial"]


async def test_the_openai_sdk_raises_when_a_stream_breaks_off() -> None:
    async with governed() as (world, bank):

        async def half(request: web.Request, _body: Any) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b'data: {"choices": [{"index": 0, "delta": {"content": "hel"}}]}\n\n')
            return response

        bank.serve = half
        async with openai.AsyncOpenAI(base_url=f"{world.url}/openai/v1", api_key=TOKEN) as client:
            with pytest.raises(openai.APIError):
                async for _ in await client.chat.completions.create(model="scripted", messages=MESSAGES, stream=True):
                    pass


async def test_the_anthropic_sdk_talks_to_a_model() -> None:
    async with governed(api="Anthropic") as (world, bank):

        async def reply(_request: web.Request, _body: Any) -> web.Response:
            usage = {"input_tokens": 9, "output_tokens": 4}
            told = {"id": "m", "type": "message", "role": "assistant", "model": "scripted", "stop_reason": "end_turn"}
            return web.json_response(told | {"content": [{"type": "text", "text": "hi"}], "usage": usage})

        bank.serve = reply
        async with anthropic.AsyncAnthropic(base_url=f"{world.url}/anthropic", api_key=TOKEN) as client:
            answer = await client.messages.create(model="scripted", messages=MESSAGES, max_tokens=20)
        assert answer.content[0].text == "hi"  # type: ignore[union-attr]


async def test_a_tool_call_of_the_model_names_the_call_that_follows() -> None:
    asked = [{"id": "call_9", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    async with governed() as (world, bank):

        async def ask(_request: web.Request, _body: Any) -> web.Response:
            return web.json_response(completion("", asked))

        bank.serve = ask
        async with openai.AsyncOpenAI(base_url=f"{world.url}/openai/v1", api_key=TOKEN) as client:
            answer = await client.chat.completions.create(model="scripted", messages=MESSAGES)
        bank.serve = None
        assert answer.choices[0].message.tool_calls is not None
        await world.call("look", {})
        assert (await world.entries())[-1]["predicate"]["call"]["id"] == "call_9"
