"""The bank's front: HTTP with an API key, MCP behind it, the books behind that.

The books are used from one thread: a commit never blocks the event loop, and writes queue up.
"""

import asyncio
import hmac
import json
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bank.books import Answer, Books
from bank.catalog import TOOLS, Tool
from bank.faults import (
    HEADER,
    PREVENTS_EFFECT,
    Exchange,
    Fault,
    Faults,
    Kind,
    parse_plan,
    respond,
    suffer,
)

KEY_HEADER = b"x-bank-key"
IDEMPOTENCY_HEADER = "idempotency-key"
IDEMPOTENCY_META = "remit.dev/idempotency-key"
MAX_KEY_LENGTH = 255
MAX_BODY_BYTES = 256 * 1024

Context = ServerRequestContext[Any, Request]


class Bank:
    """The MCP server of the bank."""

    def __init__(self, books: Books, secret: str, faults: Faults) -> None:
        """Serve these books to whoever knows the secret."""
        self._books = books
        self._secret = secret
        self._faults = faults
        self._thread: Executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="books")
        self._server: Server[Any] = Server(
            "core-banking",
            version="1.0.0",
            instructions="Regulation E card disputes: accounts, disputes, credits, letters.",
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            get_tool_input_schema=lambda name: TOOLS[name].input_schema if name in TOOLS else None,
        )

    def app(self, host: str) -> "Front":
        """Return the ASGI application: /mcp, /healthz and, for tests, /faults."""
        inner = self._server.streamable_http_app(host=host, json_response=True, max_request_body_size=MAX_BODY_BYTES)
        return Front(inner, self._secret, self._faults)

    async def _list_tools(
        self, _context: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in TOOLS.values()])

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"unknown tool: {params.name[:64]}")
        key = _idempotency_key(context)
        exchange, fault = self._fault_of(tool, context)
        if fault is None:
            return _result(await self._carry_out(tool, params.arguments or {}, key))
        exchange.fault = fault
        await suffer(fault, Kind.DELAY)
        if fault.kind in PREVENTS_EFFECT:
            return _result(Answer({}))
        answer = await self._carry_out(tool, params.arguments or {}, key)
        await suffer(fault, Kind.DELAY_AFTER)
        if fault.kind is Kind.ECHO_SECRET:
            return _result(Answer({**answer.content, "debug": f"your key is {self._secret}"}))
        return _result(answer)

    async def _carry_out(self, tool: Tool, arguments: Mapping[str, Any], key: str | None) -> Answer:
        if (objection := tool.objection(arguments)) is not None:
            return Answer({"error": {"reason": "InvalidArguments", "message": objection}}, refused=True)
        work = (
            partial(self._books.read, tool, arguments)
            if tool.effect == "read"
            else partial(self._books.write, tool, arguments, key)
        )
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _fault_of(self, tool: Tool, context: Context) -> tuple[Exchange, Fault | None]:
        request = _request(context)
        exchange: Exchange = request.scope["bank.exchange"]
        try:
            return exchange, self._faults.take(tool.name, request.headers.get(HEADER))
        except ValueError as error:
            raise MCPError(types.INVALID_PARAMS, f"{HEADER}: {error}") from error


class Front:
    """What stands before MCP: health, the API key, and the faults that an answer may suffer."""

    def __init__(self, app: ASGIApp, secret: str, faults: Faults) -> None:
        """Let only those with the secret through to the app."""
        self._app = app
        self._secret = secret.encode()
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> object:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == "/healthz":
            await respond(send, 200, b'{"status": "ok"}')
        elif not self._admits(scope):
            await respond(send, 401, b'{"error": "X-Bank-Key is missing or wrong"}')
        elif scope["path"] == "/faults" and self._faults.allowed:
            await self._plan_faults(scope, receive, send)
        else:
            exchange = Exchange(send)
            await self._app({**scope, "bank.exchange": exchange}, receive, exchange.forward)
            # uvicorn hangs up on whoever returns something: so an answer is dropped.
            return "dropped on purpose" if exchange.dropped else None
        return None

    def _admits(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == KEY_HEADER]
        return len(given) == 1 and hmac.compare_digest(given[0], self._secret)

    async def _plan_faults(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "PUT":
            try:
                self._faults.plan(parse_plan(await Request(scope, receive).body()))
            except (ValueError, KeyError, TypeError) as error:
                await respond(send, 400, json.dumps({"error": str(error)}).encode())
                return
        await respond(send, 200, json.dumps({"pending": len(self._faults)}).encode())


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.effect == "read", destructive_hint=False, open_world_hint=False
        ),
    )


def _result(answer: Answer) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(text=json.dumps(answer.content))],
        structured_content=answer.content,
        is_error=answer.refused,
    )


def _request(context: Context) -> Request:
    if context.request is None:
        raise MCPError(types.INVALID_REQUEST, "the bank speaks HTTP only")
    return context.request


def _idempotency_key(context: Context) -> str | None:
    header = _request(context).headers.get(IDEMPOTENCY_HEADER)
    meta: object = dict(context.meta or {}).get(IDEMPOTENCY_META)
    given = {key for key in (header, meta) if key is not None}
    if not given:
        return None
    key = given.pop()
    if given:
        raise MCPError(types.INVALID_PARAMS, "two different idempotency keys")
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_LENGTH or not key.isprintable():
        raise MCPError(types.INVALID_PARAMS, f"an idempotency key is 1 to {MAX_KEY_LENGTH} characters")
    return key
