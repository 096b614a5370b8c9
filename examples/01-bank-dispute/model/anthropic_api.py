"""Anthropic messages: reads the request, writes the answer whole or as events."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from model.conversation import BadRequestError, Call, Conversation, Entry, Heard, Returned, Said
from model.dialogue import Reply
from model.usage import bounded, completion_tokens, tokens_of

PIECE = 64


def conversation(body: Mapping[str, Any], digest: str) -> Conversation:
    """Read the messages of a request; raises BadRequestError."""
    tools_by_call: dict[str, str] = {}
    entries: list[Entry] = []
    for message in body["messages"]:
        blocks = _blocks(message["content"])
        match message["role"]:
            case "assistant":
                said = _said(blocks)
                tools_by_call.update({call.call_id: call.tool for call in said.calls})
                entries.append(said)
            case "user":
                entries += _heard(blocks, tools_by_call)
            case role:
                raise BadRequestError(f"unknown role {role!r}")
    offered = tuple(tool["name"] for tool in body.get("tools") or ())
    system = _text(_blocks(body.get("system") or ""))
    return Conversation(tuple(entries), offered, digest, system, body["max_tokens"])


def completion(reply: Reply, talk: Conversation, model: str, request_bytes: int) -> dict[str, Any]:
    """Write the answer as one message."""
    reply, cut = bounded(reply, talk.max_tokens)
    return {
        **_head(talk, model),
        "content": _written(reply),
        "stop_reason": _stop(reply, cut=cut),
        "usage": {
            "input_tokens": tokens_of(request_bytes),
            "output_tokens": completion_tokens(reply),
        },
    }


def chunks(reply: Reply, talk: Conversation, body: Mapping[str, Any], request_bytes: int) -> Iterator[bytes]:
    """Write the answer as server-sent events."""
    reply, cut = bounded(reply, talk.max_tokens)
    started = {"input_tokens": tokens_of(request_bytes), "output_tokens": 0}
    head = {**_head(talk, body["model"]), "content": [], "stop_reason": None, "usage": started}
    yield _event("message_start", {"message": head})
    for index, block in enumerate(_written(reply)):
        yield from _block_events(index, block)
    ended = {"stop_reason": _stop(reply, cut=cut), "stop_sequence": None}
    yield _event("message_delta", {"delta": ended, "usage": {"output_tokens": completion_tokens(reply)}})
    yield _event("message_stop", {})


def error(status: int, message: str) -> dict[str, Any]:
    """Write an error as Anthropic does."""
    kinds = {401: "authentication_error", 404: "not_found_error"}
    return {
        "type": "error",
        "error": {"type": kinds.get(status, "invalid_request_error"), "message": message},
    }


def models(names: list[str]) -> dict[str, Any]:
    """List the models."""
    entries = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names
    ]
    return {"data": entries, "has_more": False, "first_id": names[0], "last_id": names[-1]}


def _block_events(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    empty: dict[str, Any]
    if block["type"] == "text":
        kind, name, whole, empty = "text_delta", "text", block["text"], {"text": ""}
    else:
        kind, name, whole, empty = (
            "input_json_delta",
            "partial_json",
            json.dumps(block["input"]),
            {"input": {}},
        )
    yield _event("content_block_start", {"index": index, "content_block": {**block, **empty}})
    for at in range(0, len(whole), PIECE):
        delta = {"type": kind, name: whole[at : at + PIECE]}
        yield _event("content_block_delta", {"index": index, "delta": delta})
    yield _event("content_block_stop", {"index": index})


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _text(blocks: list[dict[str, Any]]) -> str:
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def _said(blocks: list[dict[str, Any]]) -> Said:
    calls = (block for block in blocks if block["type"] == "tool_use")
    return Said(_text(blocks), tuple(Call(block["id"], block["name"], block["input"]) for block in calls))


def _heard(blocks: list[dict[str, Any]], tools_by_call: Mapping[str, str]) -> Iterator[Entry]:
    for block in blocks:
        if block["type"] == "tool_result":
            text = _text(_blocks(block.get("content") or ""))
            tool = tools_by_call.get(block["tool_use_id"], "")
            yield Returned(tool, text, marked_error=bool(block.get("is_error")))
        elif block["type"] == "text":
            yield Heard(block["text"])


def _written(reply: Reply) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": reply.text}] if reply.text else []
    calls = [
        {"type": "tool_use", "id": call.call_id, "name": call.tool, "input": call.arguments} for call in reply.calls
    ]
    return [*text, *calls]


def _stop(reply: Reply, *, cut: bool) -> str:
    if cut:
        return "max_tokens"
    return "tool_use" if reply.calls else "end_turn"


def _head(talk: Conversation, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{talk.digest[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_sequence": None,
    }


def _event(kind: str, content: Mapping[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode()
