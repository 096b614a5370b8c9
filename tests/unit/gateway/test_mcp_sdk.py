"""The official SDK's client and server, unmodified, against our translations, in both eras; no socket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.support.bundles import a_bundle, a_grant, a_model_grant, a_tool

from remit.gateway.mcp import CallTool, Discover, Initialize, ListTools, McpFault, Notification, Ping, parse_message
from remit.gateway.mcp_answers import (
    answer_body,
    discover_body,
    initialize_body,
    refusal_body,
    result_body,
    tools_body,
    unknown_tool,
)
from remit.gateway.mcp_upstream import ToolAnswer, call_body, call_headers, parse_answer

URL = "http://gateway.test/mcp"
SHOWN = a_bundle(None, [a_grant("core", a_tool(), a_tool("look.up", risk="ReadOnly")), a_model_grant()]).shown


def answer(message: CallTool) -> bytes:
    if message.arguments.get("amount", 0) > 100:
        return refusal_body(message, {"reason": "PolicyDenied", "message": "too much", "rule": "limit"}, "soft")
    if message.name not in SHOWN:
        return unknown_tool(message).body()
    result = {"content": [{"type": "text", "text": message.call_id}], "structuredContent": [1], "isError": False}
    return answer_body(message, result, "ok")


async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the gateway does, without its chain."""
    request = Request(scope, receive)
    message = parse_message(scope["headers"], await request.body())
    status, body = 200, b""
    match message:
        case McpFault():
            status, body = message.status, message.body()
        case Notification():
            status = 202
        case Initialize():
            body = initialize_body(message)
        case Discover():
            body = discover_body(message)
        case Ping():
            body = result_body(message.id, {})
        case ListTools():
            body = tools_body(message, SHOWN.values())
        case CallTool():
            body = answer(message)
    await Response(body, status, media_type="application/json")(scope, receive, send)


@asynccontextmanager
async def client(mode: str) -> AsyncIterator[Client]:
    transport = httpx2.ASGITransport(app=gateway)
    async with (
        httpx2.AsyncClient(transport=transport) as http,
        Client(streamable_http_client(URL, http_client=http), mode=mode) as connected,
    ):
        yield connected


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
async def test_the_client_lists_and_calls(mode: str) -> None:
    async with client(mode) as connected:
        listed = await connected.list_tools()
        assert [tool.name for tool in listed.tools] == ["credit", "look_up"]
        assert listed.tools[1].annotations is not None
        assert listed.tools[1].annotations.read_only_hint is True
        call_id: Any = {"remit.dev/call-id": "c-1"}
        result: Any = await connected.call_tool("credit", {"amount": 1}, meta=call_id)
        assert not result.is_error
        assert (result.content[0].text, result.meta["remit.dev/budget"]) == ("c-1", "ok")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_client_hears_a_refusal_as_a_result(mode: str) -> None:
    async with client(mode) as connected:
        result: Any = await connected.call_tool("credit", {"amount": 101})
        assert result.is_error
        assert json.loads(result.content[0].text)["error"]["rule"] == "limit"
        assert (result.meta["remit.dev/reason"], result.meta["remit.dev/budget"]) == ("PolicyDenied", "soft")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_client_hears_of_an_unknown_tool_as_an_error(mode: str) -> None:
    async with client(mode) as connected:
        with pytest.raises(MCPError, match="Unknown tool"):
            await connected.call_tool("nothing", {})


async def called(server: Server[Any], name: str, arguments: dict[str, Any], key: str, *, json_response: bool) -> Any:
    app = server.streamable_http_app(host="bank.test", json_response=json_response)
    transport = httpx2.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport) as http:
        response = await http.post(
            "http://bank.test/mcp", content=call_body(name, arguments, key), headers=call_headers(name, key)
        )
    return parse_answer(response.status_code, response.headers.get("content-type", ""), response.content)


def a_server() -> Server[Any]:
    async def call(context: Any, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
        key = dict(context.meta)["remit.dev/idempotency-key"]
        text = json.dumps({"name": params.name, "arguments": params.arguments, "key": key})
        return mcp_types.CallToolResult(content=[mcp_types.TextContent(text=text)])

    return Server("bank", on_call_tool=call)


@pytest.mark.parametrize("json_response", [True, False])
@pytest.mark.parametrize("name", ["credit", "grün"])
async def test_the_server_takes_our_calls(name: str, json_response: bool) -> None:  # noqa: FBT001
    outcome = await called(a_server(), name, {"amount": 1}, "key-1", json_response=json_response)
    assert isinstance(outcome, ToolAnswer), outcome
    said = json.loads(outcome.result["content"][0]["text"])
    assert said == {"name": name, "arguments": {"amount": 1}, "key": "key-1"}
