"""Counts tokens as bytes over four, and keeps an answer within the bound that the caller set."""

import json
from dataclasses import replace

from model.dialogue import Reply

BYTES_PER_TOKEN = 4


def tokens_of(size_bytes: int) -> int:
    """Return the tokens of so many bytes, rounded up."""
    return -(-size_bytes // BYTES_PER_TOKEN)


def completion_tokens(reply: Reply) -> int:
    """Return the tokens of an answer: its text and its calls."""
    return tokens_of(len(reply.text.encode()) + _call_bytes(reply))


def bounded(reply: Reply, max_tokens: int | None) -> tuple[Reply, bool]:
    """Cut the answer to the bound: text first, the calls only when they alone are too long."""
    if max_tokens is None or completion_tokens(reply) <= max_tokens:
        return reply, False
    room = max_tokens * BYTES_PER_TOKEN - _call_bytes(reply)
    if room < 0:
        return replace(reply, text="", calls=()), True
    text = reply.text.encode()[:room].decode(errors="ignore")
    return replace(reply, text=text), not reply.calls


def _call_bytes(reply: Reply) -> int:
    return sum(len(call.tool) + len(json.dumps(call.arguments)) for call in reply.calls)
