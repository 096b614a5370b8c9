"""The MCP endpoint: reads one message, answers what needs no rule, and leads every tool call through the chain."""

from __future__ import annotations

import json
from typing import Final

from remit.api.reasons import CallReason
from remit.api.wire import HEADER_BUDGET, ErrorBody
from remit.core.prepare import GrantedTool, Refusal
from remit.gateway import mcp, mcp_answers
from remit.gateway.call import WAITING_HELPS, Answered, Call, Caller, Refused
from remit.gateway.chain import govern
from remit.gateway.gate import Gate
from remit.gateway.web import Answer, Request, refusal, refusal_headers

ACCEPTED: Final = 202
Ungoverned = mcp.McpFault | mcp.Notification | mcp.Initialize | mcp.Discover | mcp.Ping


async def serve_mcp(gate: Gate, request: Request) -> Answer:
    """POST: one JSON-RPC message."""
    token = request.bearer()
    identity = await gate.callers.authenticate(token)
    if isinstance(identity, Refused):
        return refusal(identity)
    message = mcp.parse_message(request.raw_headers, await request.body())
    if isinstance(message, mcp.CallTool):
        return await call_tool(gate, request, message)
    if isinstance(message, mcp.ListTools):
        caller = await gate.callers.identify(token, request.peer)
        return refusal(caller) if isinstance(caller, Refused) else list_tools(gate, caller, message)
    return ungoverned(message)


def ungoverned(message: Ungoverned) -> Answer:
    """Answer what concerns the protocol only."""
    match message:
        case mcp.McpFault():
            return fault(message)
        case mcp.Notification():
            return Answer(ACCEPTED, b"")
        case mcp.Initialize():
            return Answer(200, mcp_answers.initialize_body(message))
        case mcp.Discover():
            return Answer(200, mcp_answers.discover_body(message))
        case mcp.Ping():
            return Answer(200, mcp_answers.result_body(message.id, {}))


def list_tools(gate: Gate, caller: Caller, message: mcp.ListTools) -> Answer:
    """Answer with the tools that the run has now."""
    return Answer(200, mcp_answers.tools_body(message, tools_now(gate, caller)))


async def call_tool(gate: Gate, request: Request, message: mcp.CallTool) -> Answer:
    """Lead a tool call through the chain, and tell its end in the protocol's words."""
    call = Call(
        "tool",
        request.bearer(),
        request.peer,
        message.name,
        message.arguments,
        message.arguments_digest.removeprefix("sha256:"),
        message.call_id,
    )
    end = await govern(gate, call)
    if isinstance(end, Answered):
        result = end.result if end.result is not None else json.loads(end.body)
        return Answer(200, mcp_answers.answer_body(message, result, call.budget), headers={HEADER_BUDGET: call.budget})
    if call.caller is None or end.reason in WAITING_HELPS:
        return refusal(end)
    if call.tool is None and end.reason is CallReason.TOOL_NOT_GRANTED:
        return fault(mcp_answers.unknown_tool(message))
    body = mcp_answers.refusal_body(message, error_of(end), call.budget)
    return Answer(200, body, headers=refusal_headers(end, call.budget))


def error_of(refused: Refused) -> ErrorBody:
    """Return a refusal as the agent reads it."""
    error: ErrorBody = {"reason": str(refused.reason), "message": refused.message}
    if refused.rule:
        error["rule"] = f"{refused.policy}/{refused.rule}"
    return error


def fault(found: mcp.McpFault) -> Answer:
    """Return a message that is refused as such."""
    return Answer(found.status, found.body(), headers=refusal_headers(Refused(found.reason, found.message)))


def tools_now(gate: Gate, caller: Caller) -> list[GrantedTool]:
    """Return the tools that the run has now: admitted, still granted, for its purpose."""
    live, now, purpose = caller.live, gate.clock.now(), caller.run.spec.purpose
    if isinstance(live, Refusal):
        return []
    found = []
    for tool in caller.pinned.shown.values():
        granted = live.tools.get((tool.grant.ref.name, tool.name))
        if granted is None or granted.grant.spec.suspended or purpose not in granted.grant.spec.purposes:
            continue
        if granted.not_after is None or now < granted.not_after:
            found.append(tool)
    return found
