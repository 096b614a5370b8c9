"""HTTP as the gateway needs it, straight on ASGI: bounded bodies in, whole or streamed answers out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from remit.api.reasons import CallReason
from remit.api.wire import HEADER_BUDGET
from remit.gateway.call import WAITING_HELPS, Refused
from remit.gateway.settings import BODY_TIMEOUT_SECONDS, MAX_BODY_BYTES, RETRY_AFTER_SECONDS

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
JSON: Final = "application/json"
HEADER_REASON: Final = "Remit-Reason"

encode: Final = msgspec.json.encode


class RefusedError(Exception):
    """Carries a refusal out of the reading of a request."""

    def __init__(self, refused: Refused) -> None:
        """Keep the refusal."""
        super().__init__(refused.message)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Request:
    """One HTTP request."""

    __slots__ = ("_receive", "method", "path", "peer", "raw_headers", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the head; the body is read when it is asked for."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self.send = send

    def header(self, name: str) -> str:
        """Return a header's value, empty when it is not given; one that is given twice has no one value."""
        wanted = name.lower().encode()
        found = [value for key, value in self.raw_headers if key == wanted]
        return found[0].decode("latin-1") if len(found) == 1 else "\0" if found else ""

    def bearer(self) -> str:
        """Return the bearer token, empty when there is none."""
        scheme, _, token = self.header("authorization").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    async def body(self) -> bytes:
        """Return the whole body; raises RefusedError when it is too large, too slow or cut off."""
        declared = self.header("content-length")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise RefusedError(too_large())
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                return await self._whole_body()
        except TimeoutError as error:
            raise RefusedError(malformed("the body did not come in time")) from error

    async def _whole_body(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            whole: bytes = message.get("body", b"")
            if len(whole) > MAX_BODY_BYTES:
                raise RefusedError(too_large())
            return whole
        parts = bytearray()
        while message["type"] == "http.request":
            parts += message.get("body", b"")
            if len(parts) > MAX_BODY_BYTES:
                raise RefusedError(too_large())
            if not message.get("more_body", False):
                return bytes(parts)
            message = await self._receive()
        raise RefusedError(malformed("the body was cut off"))


def too_large() -> Refused:
    """Return the refusal of a body beyond the bound."""
    return Refused(CallReason.TOO_LARGE, f"a body is at most {MAX_BODY_BYTES} bytes", recorded=False)


def malformed(message: str) -> Refused:
    """Return the refusal of a body that cannot be read."""
    return Refused(CallReason.MALFORMED, message, recorded=False)


async def answer(send: Send, given: Answer) -> None:
    """Send a whole answer."""
    headers = [
        (b"content-type", given.content_type.encode()),
        (b"content-length", str(len(given.body)).encode()),
    ]
    headers += [(name.lower().encode(), value.encode()) for name, value in given.headers.items()]
    await send({"type": "http.response.start", "status": given.status, "headers": headers})
    await send({"type": "http.response.body", "body": given.body})


def refusal_headers(refused: Refused, budget: str = "") -> dict[str, str]:
    """Return what every refusal carries beside its body, whatever its protocol."""
    headers = {HEADER_REASON: str(refused.reason)}
    if refused.come_again or refused.reason in WAITING_HELPS:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    else:
        headers["x-should-retry"] = "false"
    if budget:
        headers[HEADER_BUDGET] = budget
    return headers


def refusal(refused: Refused, budget: str = "") -> Answer:
    """Return a refusal in the run contract's form."""
    error = {"reason": str(refused.reason), "message": refused.message}
    if refused.rule:
        error["rule"] = refused.rule
    return Answer(refused.status, encode({"error": error}), headers=refusal_headers(refused, budget))


class Stream:
    """A streamed answer: a Sink over ASGI's send, whose last byte goes out only when the call is settled."""

    def __init__(self, send: Send, content_type: str = "text/event-stream") -> None:
        """Write to this connection."""
        self._send = send
        self._content_type = content_type
        self.started = False

    async def start(self, headers: Mapping[str, str]) -> None:
        """Begin the answer."""
        self.started = True
        pairs = [(b"content-type", self._content_type.encode()), (b"cache-control", b"no-store")]
        pairs += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": pairs})

    async def send(self, chunk: bytes) -> None:
        """Send a part of it."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self, chunk: bytes = b"") -> None:
        """Send the last part."""
        await self._send({"type": "http.response.body", "body": chunk})
