"""The proxy itself: one listener for each program, one connection pool to the apiserver."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from campaigns.proxy.gate import Gate, Stream, is_list, is_watch
from campaigns.proxy.plan import Fault
from campaigns.proxy.requests import scoped, signature, target_of
from remit.adapters.access import Access

PASSED = ("Authorization", "Content-Type", "Accept", "Impersonate-User")
LIMIT = 64 * 1024 * 1024
REFUSALS = {
    Fault.CONFLICT: (409, "Conflict", "the object has been modified; please apply your changes to the latest version"),
    Fault.TOO_MANY: (429, "TooManyRequests", "too many requests, please try again later"),
    Fault.SERVER_ERROR: (500, "InternalError", "etcdserver: request timed out"),
}


@dataclass
class Proxy:
    """Use `open` for each program; `access` says where the apiserver is."""

    access: Access
    session: aiohttp.ClientSession = field(init=False)

    async def start(self) -> None:
        """Open the pool."""
        connector = aiohttp.TCPConnector(ssl=self.access.tls(), limit=0)
        self.session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))

    async def close(self) -> None:
        """Close the pool."""
        await self.session.close()

    @asynccontextmanager
    async def open(self, gate: Gate) -> AsyncIterator[str]:
        """Serve one program behind this gate; yields the URL to give it."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self.pass_on(request, gate)

        runner = web.ServerRunner(
            web.Server(handle, access_log=None, handler_cancellation=True), handle_signals=False, shutdown_timeout=0
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}"
        finally:
            gate.silent.clear()
            gate.cut()
            await runner.cleanup()

    async def pass_on(self, request: web.BaseRequest, gate: Gate) -> web.StreamResponse:
        """Do with one request what the plan says: mostly, pass it on."""
        if gate.away:
            return abort(request)
        body = await request.read()
        try:
            if is_watch(request):
                return await self._watch(request, gate)
            name = signature(request.method, request.path, body)
            if not name:
                answer = await self._forward(request, gate, body)
                gate.listed += is_list(request)
                if "/leases" in request.path and request.method == "PATCH" and answer.status < 400:
                    gate.on_lease()
                return answer
            return await self._write(request, gate, body, gate.number(name))
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return abort(request)

    async def _write(self, request: web.BaseRequest, gate: Gate, body: bytes, fault: Fault) -> web.StreamResponse:
        if fault is Fault.KILLED_BEFORE:
            gate.replace()
            return abort(request)
        if fault in REFUSALS:
            return refusal(fault)
        await gate.held()
        answer = await self._forward(request, gate, body)
        if fault is Fault.KILLED_AFTER:
            gate.replace()
            return abort(request)
        if fault is Fault.ANSWER_LOST:
            return abort(request)
        if fault is not Fault.NONE:
            gate.disturb_soon(fault)
        return answer

    async def _forward(self, request: web.BaseRequest, gate: Gate, body: bytes) -> web.StreamResponse:
        url = self._url(request, gate)
        if "/leases" in url.path:
            body = body.replace(b'"remit-system"', f'"{gate.namespace}"'.encode())
        async with self.session.request(
            request.method, url, data=body or None, headers=headers_of(request), allow_redirects=False
        ) as answer:
            text = await answer.read()
            if request.method != "GET" and answer.status < 400:
                gate.note_version(read(text))
            kept = {name: answer.headers[name] for name in ("Retry-After",) if name in answer.headers}
            kind = answer.content_type
            return web.Response(status=answer.status, body=text, content_type=kind, headers=kept)

    def _url(self, request: web.BaseRequest, gate: Gate) -> URL:
        path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        if request.method == "GET":
            path, query = scoped(path, query, gate.namespace)
        target = target_of(path)
        if target is not None and target.plural == "leases":  # each world has its own
            path = path.replace("/namespaces/remit-system/", f"/namespaces/{gate.namespace}/")
        if gate.past() and is_list(request) and "continue" not in request.query:
            query = "&".join(filter(None, (query, f"resourceVersion={gate.past()}&resourceVersionMatch=Exact")))
        return URL(f"{self.access.server}{path}" + (f"?{query}" if query else ""), encoded=True)

    async def _watch(self, request: web.BaseRequest, gate: Gate) -> web.StreamResponse:
        if gate.resets > 0:
            gate.resets -= 1
            return abort(request)
        target = target_of(request.path)
        stream = Stream(target.plural if target else "", request.transport)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        url = self._url(request, gate)
        async with self.session.get(url, headers=headers_of(request), timeout=timeout) as answer:
            told = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
            await self._hold(stream, gate)
            await told.prepare(request)
            gate.streams.add(stream)
            try:
                await self._tell(answer, told, gate, stream)
            finally:
                gate.streams.discard(stream)
            return told

    async def _tell(self, answer: aiohttp.ClientResponse, told: web.StreamResponse, gate: Gate, stream: Stream) -> None:
        """Pass frames on, those that the plan lets through, until either side ends."""
        ended = asyncio.create_task(stream.ended.wait())
        frames = aiter(lines(answer.content))
        following = asyncio.ensure_future(anext(frames, b""))
        try:
            while True:
                await asyncio.wait({ended, following}, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    await told.write(stream.farewell())
                    return
                frame = following.result()
                if stream.is_mute:
                    await ended
                    continue
                await self._hold(stream, gate)
                if not frame:
                    return
                if not gate.is_hidden(read(frame).get("type", "")):
                    await told.write(frame)
                following = asyncio.ensure_future(anext(frames, b""))
        finally:
            ended.cancel()
            following.cancel()
            await asyncio.gather(ended, following, return_exceptions=True)

    @staticmethod
    async def _hold(stream: Stream, gate: Gate) -> None:
        """Wait while the kind's watches are frozen or silent."""
        await gate.thaw()
        while gate.is_silent(stream.kind):  # noqa: ASYNC110 - a set of words has no event
            await asyncio.sleep(0.1)


def abort(request: web.BaseRequest) -> web.StreamResponse:
    """Break the connection off: the other side learns nothing."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def refusal(fault: Fault) -> web.Response:
    """Answer as an apiserver that refuses."""
    code, reason, message = REFUSALS[fault]
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    body = status | {"code": code, "reason": reason, "message": message}
    return web.json_response(body, status=code, headers={"Retry-After": "1"} if code == 429 else {})


def headers_of(request: web.BaseRequest) -> dict[str, str]:
    """Return the headers that are passed on."""
    return {name: request.headers[name] for name in PASSED if name in request.headers}


def read(text: bytes) -> dict[str, Any]:
    """Read a JSON object; anything else is empty."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines, of any length."""
    rest = b""
    while chunk := await content.readany():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
