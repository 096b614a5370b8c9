"""A gateway that answers from a script, in place of the harness's connection: for tests of the loop alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from remit.api import wire
from remit.harness.client import Answer, GatewayClient


def an_order(**changes: Any) -> dict[str, Any]:
    """Return a run's input, with `changes`."""
    return {
        "version": wire.CONTRACT_VERSION,
        "run": {"namespace": "bank", "name": "dispute", "uid": "u-1", "attempt": 1},
        "agent": "resolver",
        "purpose": "card-dispute",
        "input": {"account": "A-1"},
        "instructions": "Resolve the dispute.",
        "model": {"api": "OpenAI", "name": "m", "maxOutputTokens": 100},
        "maxIterations": 5,
        "step": 0,
        **changes,
    }


def says(text: str) -> dict[str, Any]:
    """Return a chat completion that answers with `text`."""
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


def calls(name: str, arguments: str, call_id: str = "c1") -> dict[str, Any]:
    """Return a chat completion that calls one tool with `arguments` as JSON text."""
    function = {"name": name, "arguments": arguments}
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": call_id, "function": function}]}
    return {"choices": [{"message": message}]}


def refuses(reason: str, message: str = "no") -> Answer:
    """Return a refusal as the gateway words it."""
    body = json.dumps({"error": {"reason": reason, "message": message}}).encode()
    return Answer(403, {"remit-reason": reason}, body)


class ScriptedGateway(GatewayClient):
    """Answers model calls from `replies` in turn; keeps what it was sent in `sent` as (path, body, headers)."""

    def __init__(self, order: dict[str, Any], replies: list[dict[str, Any] | Answer]) -> None:
        """Serve `order` and `replies`; `answers` overrides a path's answers, in turn."""
        super().__init__("http://gateway.test:1", Path("token"))
        self.order = order
        self.replies = list(replies)
        self.answers: dict[str, list[Answer]] = {}
        self.sent: list[tuple[str, Any, Mapping[str, str]]] = []

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Answer one request from the script."""
        self.sent.append((path, body, headers or {}))
        if waiting := self.answers.get(path):
            return waiting.pop(0)
        answer = self._scripted(path, body)
        return answer if isinstance(answer, Answer) else Answer(200, {}, json.dumps(answer).encode())

    def _scripted(self, path: str, body: Any) -> dict[str, Any] | Answer:
        """Return the script's answer for a path."""
        match path:
            case wire.INPUT_PATH:
                return self.order
            case wire.STEP_PATH:
                return {"desired": "Running", "budget": "ok"}
            case wire.MCP_PATH if body["method"] == "tools/list":
                tool = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object"}}
                return {"jsonrpc": "2.0", "id": body["id"], "result": {"tools": [tool]}}
            case wire.MCP_PATH:
                content = [{"type": "text", "text": '{"found": 1}'}]
                return {"jsonrpc": "2.0", "id": body["id"], "result": {"content": content}}
            case wire.RESULT_PATH | wire.HANDOVER_PATH:
                return {"accepted": True, "reason": "Succeeded"}
            case _:
                return self.replies.pop(0)

    def bodies(self, path: str) -> list[Any]:
        """Return what was sent to `path`."""
        return [body for sent_path, body, _ in self.sent if sent_path == path]
