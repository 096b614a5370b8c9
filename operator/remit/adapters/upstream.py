"""The Upstream port over aiohttp: keep-alive connections, no redirect, no cookie, no proxy, every answer bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from remit.ports import (
    UpstreamAnswer,
    UpstreamLostError,
    UpstreamNotSentError,
    UpstreamRequest,
)

MAX_ANSWER_BYTES: Final = 8 << 20
MAX_STREAM_BYTES: Final = 64 << 20
MAX_CONNECTIONS: Final = 512
CONNECT_SECONDS: Final = 10.0
STREAM_SECONDS: Final = 3600.0
IDLE_SECONDS: Final = 1.5
"""How long an idle connection is used again: less than any server of note keeps one open.

A request that meets the server's closing of the connection is lost, and a lost write is OutcomeUnknown.
"""
_TURNS_TO_NOTICE: Final = 3
"""Turns of the event loop before a request: a close that has arrived is noticed in them, and the connection left."""
_OWN_HEADERS: Final = {"User-Agent": "remit-gateway", "Accept-Encoding": "identity"}


class UpstreamTimeoutError(UpstreamLostError, TimeoutError):
    """The upstream did not answer in time: what became of the request is not known."""


class HttpStream:
    """An upstream's answer as it comes; bounded in bytes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """Take over the response; `close` must be called."""
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = _headers_of(response)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises UpstreamLostError when it breaks off or grows too large."""
        size = 0
        try:
            async for chunk in self._response.content.iter_any():
                size += len(chunk)
                if size > MAX_STREAM_BYTES:
                    raise UpstreamLostError(f"the upstream's answer is larger than {MAX_STREAM_BYTES} bytes")
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _raise_lost(error)

    async def close(self) -> None:
        """Let the connection go; cuts the call when it is not at its end."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class HttpUpstream:
    """Sends requests over HTTP/1.1; must be made and closed on one event loop."""

    def __init__(self) -> None:
        """Make no connection yet."""
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Send and read the whole answer; raises UpstreamNotSentError or UpstreamLostError."""
        bounds = aiohttp.ClientTimeout(total=request.timeout_seconds, sock_connect=CONNECT_SECONDS)
        response = await self._open(request, bounds)
        try:
            body = await _whole_body(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _raise_lost(error)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()
        return UpstreamAnswer(response.status, _headers_of(response), body)

    async def stream(self, request: UpstreamRequest) -> HttpStream:
        """Send and return once the answer's head is there; the timeout then bounds each silence."""
        bounds = aiohttp.ClientTimeout(
            total=STREAM_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=request.timeout_seconds
        )
        return HttpStream(await self._open(request, bounds))

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _open(self, request: UpstreamRequest, bounds: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        for _ in range(_TURNS_TO_NOTICE):
            await asyncio.sleep(0)
        passage = _Passage()
        _passage.set(passage)
        try:
            response = await self._connected().request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers={**request.headers, **_OWN_HEADERS},
                timeout=bounds,
                allow_redirects=False,
            )
        except asyncio.CancelledError:
            passage.abort()
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if passage.transport is None:
                raise UpstreamNotSentError("the upstream cannot be reached") from error
            _raise_for(error)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise UpstreamLostError("the upstream answers in an encoding that was not asked for")
        return response

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


@dataclass(slots=True)
class _Passage:
    """How far one request came."""

    transport: asyncio.Transport | None = None
    """Its connection; before it has one, certainly nothing of it was written."""

    def abort(self) -> None:
        """Leave unsent what waits to be written: closing alone would still send it."""
        if self.transport is not None:
            self.transport.abort()


_passage: ContextVar[_Passage] = ContextVar("passage")


class _Connector(aiohttp.TCPConnector):
    """Notes which connection a request has got."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as the base class has it
    ) -> Connection:
        """Return a connection of the pool, or a new one."""
        connection = await super().connect(req, traces, timeout)
        _passage.get().transport = connection.transport
        return connection


async def _whole_body(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamLostError(f"the upstream's answer is larger than {MAX_ANSWER_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _raise_for(error: Exception) -> NoReturn:
    """Translate what failed on a connection: but for a request that cannot be written, all of it may have been sent."""
    if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
        raise UpstreamNotSentError("the request cannot be written") from error
    _raise_lost(error)


def _raise_lost(error: Exception) -> NoReturn:
    """Translate what is lost; no text of the other side is kept."""
    if isinstance(error, TimeoutError):
        raise UpstreamTimeoutError("the upstream did not answer in time") from error
    raise UpstreamLostError("the upstream broke the connection off, or answers no HTTP") from error
