"""What is written in one turn of the loop goes out together."""

import asyncio

from remit.gateway.connections import Corked


class Wire(asyncio.Transport):
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        """Be open."""
        super().__init__()
        self.packets: list[bytes] = []
        self.closed = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.packets.append(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.closed)

    def close(self) -> None:
        self.closed = "closed"

    def abort(self) -> None:
        self.closed = "aborted"


async def a_turn() -> None:
    """Let the loop do what it was asked to do until now."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


async def test_head_and_body_are_one_packet_and_what_comes_later_is_another() -> None:
    wire = Wire()
    corked = Corked(wire, asyncio.get_running_loop())
    corked.write(b"head ")
    corked.write(b"body")
    assert wire.packets == []
    await a_turn()
    corked.write(b"more")
    await a_turn()
    assert wire.packets == [b"head body", b"more"]


async def test_what_is_written_goes_out_before_the_end_and_not_after_it() -> None:
    wire = Wire()
    corked = Corked(wire, asyncio.get_running_loop())
    corked.write(b"last")
    corked.close()
    corked.write(b"late")
    await a_turn()
    assert (wire.packets, wire.closed, corked.is_closing()) == ([b"last"], "closed", True)


async def test_what_is_cut_off_says_nothing_more() -> None:
    wire = Wire()
    corked = Corked(wire, asyncio.get_running_loop())
    corked.write(b"half")
    corked.abort()
    await a_turn()
    assert (wire.packets, wire.closed) == ([], "aborted")
