"""OpenAI chat completions: reads the request, writes the answer whole or in chunks."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from model.conversation import BadRequestError, Call, Conversation, Entry, Heard, Returned, Said
from model.dialogue import Reply
from model.usage import bounded, completion_tokens, tokens_of

CREATED = 1_767_225_600
"""Always the same second: the same request gets the same bytes."""
PIECE = 64


def conversation(body: Mapping[str, Any], digest: str) -> Conversation:
    """Read the messages of a request; raises BadRequestError."""
    if body.get("n", 1) != 1:
        raise BadRequestError("n must be 1")
    tools_by_call: dict[str, str] = {}
    entries: list[Entry] = []
    system = ""
    for message in body["messages"]:
        text = _text(message.get("content"))
        match message["role"]:
            case "system" | "developer":
                system += text
            case "assistant":
                said = Said(text, tuple(_call(call) for call in message.get("tool_calls") or ()))
                tools_by_call.update({call.call_id: call.tool for call in said.calls})
                entries.append(said)
            case "tool":
                entries.append(Returned(tools_by_call.get(message["tool_call_id"], ""), text))
            case "user":
                entries.append(Heard(text))
            case role:
                raise BadRequestError(f"unknown role {role!r}")
    offered = tuple(tool["function"]["name"] for tool in body.get("tools") or () if "function" in tool)
    max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    return Conversation(tuple(entries), offered, digest, system, max_tokens)


def completion(reply: Reply, talk: Conversation, model: str, request_bytes: int) -> dict[str, Any]:
    """Write the answer as one `chat.completion`."""
    reply, cut = bounded(reply, talk.max_tokens)
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = [_written(call) for call in reply.calls]
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": _finish(reply, cut=cut),
        "logprobs": None,
    }
    return {
        **_head(talk, model, "chat.completion"),
        "choices": [choice],
        "usage": _usage(reply, request_bytes),
    }


def chunks(reply: Reply, talk: Conversation, body: Mapping[str, Any], request_bytes: int) -> Iterator[bytes]:
    """Write the answer as server-sent events."""
    reply, cut = bounded(reply, talk.max_tokens)
    head = _head(talk, body["model"], "chat.completion.chunk")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": reply.text[at : at + PIECE]} for at in range(0, len(reply.text), PIECE)]
    for index, call in enumerate(reply.calls):
        written = _written(call)
        arguments = written["function"]["arguments"]
        written["function"]["arguments"] = ""
        deltas.append({"tool_calls": [{"index": index, **written}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": arguments[at : at + PIECE]}}]}
            for at in range(0, len(arguments), PIECE)
        ]
    for delta in deltas:
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(reply, cut=cut)}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _event({**head, "choices": [], "usage": _usage(reply, request_bytes)})
    yield b"data: [DONE]\n\n"


def error(status: int, message: str) -> dict[str, Any]:
    """Write an error as OpenAI does."""
    kind = "authentication_error" if status == 401 else "invalid_request_error"  # noqa: PLR2004
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def models(names: list[str]) -> dict[str, Any]:
    """List the models."""
    entries = [{"id": name, "object": "model", "created": CREATED, "owned_by": "remit-example"} for name in names]
    return {"object": "list", "data": entries}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _call(call: Mapping[str, Any]) -> Call:
    function = call["function"]
    return Call(call["id"], function["name"], json.loads(function["arguments"] or "{}"))


def _written(call: Call) -> dict[str, Any]:
    function = {"name": call.tool, "arguments": json.dumps(call.arguments)}
    return {"id": call.call_id, "type": "function", "function": function}


def _finish(reply: Reply, *, cut: bool) -> str:
    if cut:
        return "length"
    return "tool_calls" if reply.calls else "stop"


def _usage(reply: Reply, request_bytes: int) -> dict[str, int]:
    prompt, completed = tokens_of(request_bytes), completion_tokens(reply)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completed,
        "total_tokens": prompt + completed,
    }


def _head(talk: Conversation, model: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{talk.digest[:24]}",
        "object": kind,
        "created": CREATED,
        "model": model,
    }


def _event(chunk: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()
