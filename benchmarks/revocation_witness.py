"""The upstream of `revocation`, and its witness: notes when each call arrives, and when one that it keeps is let go.

It is a process of its own that does little else: what it notes late would be held against the gateway.

    python -m benchmarks.revocation_witness PORT FILE
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

import uvloop

from remit.adapters.clock import SystemClock

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Witness(asyncio.Protocol):
    """One connection of the gateway."""

    def __init__(self, notes: BinaryIO) -> None:
        """Write to these notes."""
        self._notes = notes
        self._clock = SystemClock()
        self._unread = b""
        self._kept: Any = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # it is one
        """Keep the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Note every call that is there as a whole; the time is that of its last byte."""
        now = self._clock.now()
        self._unread += data
        while (body := self._next_body()) is not None:
            message = json.loads(body)
            arguments = message["params"]["arguments"]
            self._note({"at": now, **arguments})
            if arguments["hold"]:
                self._kept = arguments
            else:
                self._answer(message["id"])

    def connection_lost(self, _error: Exception | None) -> None:
        """Note when a call that was kept is let go."""
        if self._kept is not None:
            self._note({"lost": self._clock.now(), **self._kept})

    def _next_body(self) -> bytes | None:
        head, end, rest = self._unread.partition(HEAD_END)
        if not end:
            return None
        length = int(head.lower().partition(LENGTH)[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return None
        self._unread = rest[length:]
        return rest[:length]

    def _answer(self, identifier: Any) -> None:
        content = [{"type": "text", "text": "done"}]
        body = json.dumps({"jsonrpc": "2.0", "id": identifier, "result": {"content": content}}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        assert self._transport is not None
        self._transport.write(head.encode() + body)

    def _note(self, what: dict[str, Any]) -> None:
        self._notes.write(json.dumps(what).encode() + b"\n")


async def serve(port: int, notes: BinaryIO) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Witness(notes), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Run the process."""
    port, path = int(sys.argv[1]), Path(sys.argv[2])
    with path.open("wb", buffering=0) as notes, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(port, notes))


if __name__ == "__main__":
    main()
