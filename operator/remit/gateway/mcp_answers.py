"""The gateway's answers in the Model Context Protocol, as bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from remit.api.reasons import CallReason
from remit.api.toolgrant import Risk, Tool
from remit.api.wire import META_BUDGET, BudgetWord, ErrorBody
from remit.core.prepare import GrantedTool
from remit.gateway.jsontext import write
from remit.gateway.mcp import (
    INVALID_PARAMS,
    MAX_SHOWN_CHARACTERS,
    META_SERVER,
    SERVER_INFO,
    SUPPORTED,
    CallTool,
    Discover,
    Initialize,
    ListTools,
    McpFault,
    RequestId,
)

META_REASON: Final = "remit.dev/reason"
INSTRUCTIONS: Final = (
    "Every call is checked against the grants and policies of this run. A refused call says why in its result: "
    "correct it or go on without."
)


def initialize_body(message: Initialize) -> bytes:
    """Return the handshake's answer; no session is made."""
    return result_body(
        message.id,
        {
            "protocolVersion": message.version,
            "capabilities": {"tools": {}},
            "serverInfo": SERVER_INFO,
            "instructions": INSTRUCTIONS,
        },
    )


def discover_body(message: Discover) -> bytes:
    """Return what the gateway speaks."""
    return result_body(
        message.id,
        {
            "resultType": "complete",
            "supportedVersions": list(SUPPORTED),
            "capabilities": {"tools": {}},
            "instructions": INSTRUCTIONS,
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {META_SERVER: SERVER_INFO},
        },
    )


def tools_body(message: ListTools, tools: Iterable[GrantedTool]) -> bytes:
    """Return the run's tools as the agent knows them: one page, private to the run."""
    result: dict[str, Any] = {"tools": [_described(entry, entry.tool) for entry in tools if entry.tool is not None]}
    if message.modern:
        result |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    return result_body(message.id, result)


def _described(entry: GrantedTool, tool: Tool) -> dict[str, Any]:
    return {
        "name": entry.shown_name,
        "description": tool.description,
        "inputSchema": {**tool.input_schema, "type": "object"},
        "annotations": {
            "readOnlyHint": entry.risk is Risk.READ_ONLY,
            "destructiveHint": entry.risk in {Risk.FINANCIAL, Risk.DESTRUCTIVE},
        },
    }


def answer_body(message: CallTool, result: Mapping[str, Any], budget: BudgetWord) -> bytes:
    """Return a tool's result (as parse_answer gives it) to the agent, with the budget's word."""
    shown = {**result, "_meta": {META_BUDGET: budget}}
    if message.modern:
        shown["resultType"] = "complete"
    elif not isinstance(shown.get("structuredContent", {}), dict):
        del shown["structuredContent"]
    return result_body(message.id, shown)


def refusal_body(message: CallTool, error: ErrorBody, budget: BudgetWord) -> bytes:
    """Return a refusal as a tool result, so that the model hears why and can correct itself."""
    text = write({"error": error}).decode()
    result: dict[str, Any] = {
        "content": [{"type": "text", "text": text}],
        "isError": True,
        "_meta": {META_REASON: error["reason"], META_BUDGET: budget},
    }
    if message.modern:
        result["resultType"] = "complete"
    return result_body(message.id, result)


def unknown_tool(message: CallTool) -> McpFault:
    """Return the protocol's error for a tool that the run does not have."""
    shown = message.name[:MAX_SHOWN_CHARACTERS]
    return McpFault(
        400 if message.modern else 200,
        INVALID_PARAMS,
        CallReason.TOOL_NOT_GRANTED,
        f"Unknown tool: {shown}",
        message.id,
    )


def result_body(identifier: RequestId, result: Mapping[str, Any]) -> bytes:
    """Return a JSON-RPC result."""
    return write({"jsonrpc": "2.0", "id": identifier, "result": result})
