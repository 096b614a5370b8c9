"""How a conversation looks to each model API: pure translation, no I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from remit.api import wire


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the model asks for. `fault` says why its arguments cannot be read, empty when they can."""

    id: str
    name: str
    arguments: dict[str, Any]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One turn of the model; `message` is what goes back into the conversation as its own."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    message: dict[str, Any]


class Dialect(Protocol):
    """One model API."""

    path: str

    def request(
        self, model: wire.ModelSettings, system: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the body of the next model call."""

    def reply(self, document: dict[str, Any]) -> Reply:
        """Read an answer; raises KeyError, IndexError or TypeError when it is not one."""

    def results(self, answers: list[tuple[ToolCall, str, bool]]) -> list[dict[str, Any]]:
        """Return the messages that tell the model what its tools said: (call, text, is error)."""


def read_arguments(raw: Any) -> tuple[dict[str, Any], str]:
    """Return (arguments, fault) from a JSON text or an object."""
    if isinstance(raw, dict):
        return raw, ""
    try:
        parsed = json.loads(raw) if raw else {}
    except ValueError as error:
        return {}, f"the arguments are not JSON: {error}"
    if not isinstance(parsed, dict):
        return {}, "the arguments are not a JSON object"
    return parsed, ""


class OpenAiDialect:
    """OpenAI chat completions."""

    path = wire.OPENAI_BASE_PATH + "/chat/completions"

    def request(
        self, model: wire.ModelSettings, system: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return a chat completions body."""
        body: dict[str, Any] = {
            "model": model["name"],
            "max_completion_tokens": model["maxOutputTokens"],
            "messages": [{"role": "system", "content": system}, *messages],
        }
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool["name"],
                        "description": tool.get("description", ""),
                        "parameters": tool["inputSchema"],
                    },
                }
                for tool in tools
            ]
        return body

    def reply(self, document: dict[str, Any]) -> Reply:
        """Read the first choice."""
        message = document["choices"][0]["message"]
        calls = []
        for call in message.get("tool_calls") or []:
            arguments, fault = read_arguments(call["function"].get("arguments"))
            calls.append(ToolCall(call["id"], call["function"]["name"], arguments, fault))
        return Reply(message.get("content") or "", tuple(calls), message)

    def results(self, answers: list[tuple[ToolCall, str, bool]]) -> list[dict[str, Any]]:
        """Return one tool message for each call."""
        return [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text, _ in answers]


class AnthropicDialect:
    """Anthropic messages."""

    path = wire.ANTHROPIC_BASE_PATH + "/v1/messages"

    def request(
        self, model: wire.ModelSettings, system: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return a messages body."""
        body: dict[str, Any] = {
            "model": model["name"],
            "max_tokens": model["maxOutputTokens"],
            "system": system,
            "messages": list(messages),
        }
        if tools:
            body["tools"] = [
                {
                    "name": tool["name"],
                    "description": tool.get("description", ""),
                    "input_schema": tool["inputSchema"],
                }
                for tool in tools
            ]
        return body

    def reply(self, document: dict[str, Any]) -> Reply:
        """Read the content blocks."""
        texts, calls = [], []
        for block in document["content"]:
            if block["type"] == "text":
                texts.append(block["text"])
            elif block["type"] == "tool_use":
                arguments, fault = read_arguments(block["input"])
                calls.append(ToolCall(block["id"], block["name"], arguments, fault))
        return Reply("\n".join(texts), tuple(calls), {"role": "assistant", "content": document["content"]})

    def results(self, answers: list[tuple[ToolCall, str, bool]]) -> list[dict[str, Any]]:
        """Return one user message with a block for each call."""
        blocks = [
            {"type": "tool_result", "tool_use_id": call.id, "content": text, "is_error": is_error}
            for call, text, is_error in answers
        ]
        return [{"role": "user", "content": blocks}]


DIALECTS: dict[str, Dialect] = {"OpenAI": OpenAiDialect(), "Anthropic": AnthropicDialect()}
