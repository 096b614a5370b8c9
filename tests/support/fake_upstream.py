"""Upstreams that do as a test says: an MCP server and a model provider on loopback, in this process."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Serve = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]


@dataclass
class FakeUpstream:
    """What was asked, and what will be answered."""

    url: str = ""
    requests: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    serve: Serve | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """What a slow answer waits for."""

    @property
    def calls(self) -> int:
        """How many requests came."""
        return len(self.requests)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer as the test says, else as a good server would."""
        body = json.loads(await request.read())
        self.requests.append((dict(request.headers), body))
        if self.serve is not None:
            return await self.serve(request, body)
        return web.json_response(completion("done") if request.path.endswith("completions") else tool_result(body))


def tool_result(body: Any, **more: Any) -> Any:
    """A good answer to tools/call."""
    arguments = body["params"]["arguments"]
    result = {"content": [{"type": "text", "text": json.dumps(arguments)}], "resultType": "complete"}
    return {"jsonrpc": "2.0", "id": body["id"], "result": result | more}


def completion(text: str, tool_calls: list[Any] | None = None, **usage: int) -> Any:
    """A good answer to chat/completions."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = tool_calls
    tokens = {"prompt_tokens": 10, "completion_tokens": 5} | usage
    return {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": tokens}


async def hang_up(request: web.Request, _body: Any) -> web.StreamResponse:
    """Take the request, and close the connection without a word."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[FakeUpstream]:
    """Serve on loopback."""
    fake = FakeUpstream()
    app = web.Application()
    app.router.add_post("/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    fake.url = f"http://127.0.0.1:{port}"
    try:
        yield fake
    finally:
        fake.gate.set()
        await runner.cleanup()
