"""The smallest agent loops there are, over the official SDKs of both model APIs, streaming or not."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from tests.dataplane.bank.servers import MODEL_KEY, Server

Tools = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
MAX_TURNS = 60


@dataclass
class Story:
    """What an agent did: its calls in order, what came back, and its last words."""

    calls: list[str] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    last_words: str = ""

    @property
    def result(self) -> dict[str, Any]:
        """The last words as JSON."""
        value: dict[str, Any] = json.loads(self.last_words)
        return value


async def use(tools: Tools, story: Story, name: str, arguments: dict[str, Any]) -> str:
    """Carry out one call and note it down."""
    story.calls.append(name)
    story.results.append(await tools(name, arguments))
    return json.dumps(story.results[-1])


async def openai_agent(
    server: Server, model: str, task: dict[str, Any], tools: Tools, *, stream: bool = False
) -> Story:
    """Run a dialogue over chat completions until the model calls no tool."""
    story = Story()
    messages: list[Any] = [
        {"role": "system", "content": "You resolve card disputes."},
        {"role": "user", "content": f"Input:\n{json.dumps(task)}"},
    ]
    async with AsyncOpenAI(api_key=MODEL_KEY, base_url=f"{server.origin}/v1") as client:
        for _ in range(MAX_TURNS):
            message = await openai_turn(client, model, messages, stream=stream)
            messages.append(message)
            for call in message.get("tool_calls", ()):
                function = call["function"]
                said = await use(tools, story, function["name"], json.loads(function["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": said})
            if not message.get("tool_calls"):
                story.last_words = message["content"]
                return story
    raise AssertionError(f"{model} never ended")


async def openai_turn(client: AsyncOpenAI, model: str, messages: list[Any], *, stream: bool) -> dict[str, Any]:
    """Return the model's next message as it goes back into the conversation."""
    if not stream:
        whole = await client.chat.completions.create(model=model, messages=messages)
        return whole.choices[0].message.model_dump(exclude_none=True)
    options: Any = {"include_usage": True}
    async with client.chat.completions.stream(model=model, messages=messages, stream_options=options) as events:
        final = await events.get_final_completion()
    assert final.usage is not None
    message = final.choices[0].message
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in message.tool_calls or ()
    ]
    return {"role": "assistant", "content": message.content or "", **({"tool_calls": calls} if calls else {})}


async def anthropic_agent(
    server: Server, model: str, task: dict[str, Any], tools: Tools, *, stream: bool = False
) -> Story:
    """Run a dialogue over the messages API until the model calls no tool."""
    story = Story()
    messages: list[Any] = [{"role": "user", "content": f"Input:\n{json.dumps(task)}"}]
    async with AsyncAnthropic(api_key=MODEL_KEY, base_url=server.origin) as client:
        for _ in range(MAX_TURNS):
            blocks = await anthropic_turn(client, model, messages, stream=stream)
            messages.append({"role": "assistant", "content": blocks})
            results = [
                {
                    "type": "tool_result",
                    "tool_use_id": block["id"],
                    "content": await use(tools, story, block["name"], block["input"]),
                }
                for block in blocks
                if block["type"] == "tool_use"
            ]
            if not results:
                story.last_words = blocks[0]["text"]
                return story
            messages.append({"role": "user", "content": results})
    raise AssertionError(f"{model} never ended")


async def anthropic_turn(
    client: AsyncAnthropic, model: str, messages: list[Any], *, stream: bool
) -> list[dict[str, Any]]:
    """Return the blocks of the model's next message as they go back into the conversation."""
    if stream:
        async with client.messages.stream(model=model, messages=messages, max_tokens=1024) as events:
            message: Any = await events.get_final_message()
    else:
        message = await client.messages.create(model=model, messages=messages, max_tokens=1024)
    return [
        {"type": "text", "text": block.text}
        if block.type == "text"
        else {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input}
        for block in message.content
    ]
