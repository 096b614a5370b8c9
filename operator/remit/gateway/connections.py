"""Bounds of one connection and of one peer: what comes before a token is looked at must cost next to nothing.

The server bounds bodies where they are read; a head, a trailer and a connection that says nothing it would keep.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 65_536
"""Of a request's line and headers, and of what stands behind its body."""
HEAD_SECONDS: Final = 15.0
"""How long a head may take, the first from the connection on."""
CONNECTIONS_PER_PEER: Final = 64
"""An agent needs a few; all that the server takes would be everybody's."""


class Corked(asyncio.Transport):
    """A transport that sends what is written in one turn of the loop together: head and body in one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Write to this transport."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send this, with whatever else is written before the loop goes on."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def is_closing(self) -> bool:
        """Tell whether the connection is closed, or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close when all is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._parts.clear()
        self._transport.abort()

    def pause_reading(self) -> None:
        """Read nothing for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows of the connection."""
        return self._transport.get_extra_info(name, default)

    def _flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose heads are bounded in size and time, and whose peers are bounded in number of connections."""

    per_peer: ClassVar[int]
    peers: ClassVar[Counter[str]]

    _unread = 0
    """Bytes since the parser last came to an end of something."""
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class does
        """Take the connection, unless its peer has too many."""
        super().connection_made(Corked(transport, self.loop))
        peer = self.client[0] if self.client else ""
        self.peers[peer] += 1
        if self.peers[peer] > self.per_peer:
            transport.close()
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._head_came()
        peer = self.client[0] if self.client else ""
        self.peers[peer] -= 1
        if not self.peers[peer]:
            del self.peers[peer]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as long as it leads somewhere."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"more than {MAX_HEAD_BYTES} bytes of headers")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._unread = 0
        self._head_came()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body came: whoever reads it bounds it."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._unread = 0
        super().on_message_complete()

    def _wait_for_head(self) -> None:
        self._head_came()
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_came(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _head_is_late(self) -> None:
        """Close, unless an answer is under way, during which nothing more is read."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_for_head()
        elif not self.transport.is_closing():
            self.transport.close()


def bounded(connections_per_peer: int) -> type[BoundedProtocol]:
    """Return the protocol of one listener, which counts its own peers."""
    return type("Bounded", (BoundedProtocol,), {"per_peer": connections_per_peer, "peers": Counter()})
