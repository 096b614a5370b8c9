"""What comes before a token is looked at: heads, trailers and connections are bounded, and nobody else is hurt."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.support.gateway_process import Served, reason_of
from tests.support.governed import governed
from tests.support.polling import eventually_async

from remit.gateway.connections import CONNECTIONS_PER_PEER, MAX_HEAD_BYTES

HEAD = b"POST /mcp HTTP/1.1\r\nHost: gateway\r\n"
CHUNKED = HEAD + b"Authorization: Bearer good-token\r\nTransfer-Encoding: chunked\r\n\r\n"
PART = b"a" * 4096
ENDLESS = {
    "a header's value": (HEAD + b"X-One: ", PART),
    "headers": (HEAD, b"X-One: b\r\n" * 400),
    "a header's name": (HEAD, PART),
    "a path": (b"POST /", PART),
    "trailers": (CHUNKED + b"1\r\n{\r\n0\r\n", b"X-One: b\r\n" * 400),
    "a chunk's extension": (CHUNKED + b"1;", PART),
}
BOTH_LENGTHS = HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
TWO_LENGTHS = HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
FOLDED = HEAD + b"Content-Length: 2\r\nX-One: a\r\n b\r\n\r\n{}"
AMBIGUOUS = {"both lengths": BOTH_LENGTHS, "two lengths": TWO_LENGTHS, "a folded header": FOLDED}

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def world() -> AsyncIterator[Served]:
    async with governed() as (served, _):
        yield served


async def connected(world: Served) -> Connection:
    return await asyncio.open_connection("127.0.0.1", int(world.url.rsplit(":", 1)[1]))


async def sent_until_closed(connection: Connection, first: bytes, more: bytes) -> int:
    """Send until the other side closes; return how many bytes it took."""
    reader, writer = connection
    writer.write(first)
    sent, closed = len(first), asyncio.ensure_future(reader.read())
    try:
        while not closed.done() and sent < 100 * MAX_HEAD_BYTES:
            writer.write(more)
            await writer.drain()
            await asyncio.wait([closed], timeout=0.001)
            sent += len(more)
    except ConnectionError:
        pass
    writer.close()
    closed.cancel()
    return sent


@pytest.mark.parametrize(("first", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_what_never_ends_is_cut_off(world: Served, first: bytes, more: bytes) -> None:
    assert await sent_until_closed(await connected(world), first, more) < 20 * MAX_HEAD_BYTES
    assert reason_of(await world.call("look", {}, "c1")) == ""


@pytest.mark.parametrize("request_bytes", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_request_that_two_readers_could_cut_in_two_ways_is_refused(world: Served, request_bytes: bytes) -> None:
    reader, writer = await connected(world)
    writer.write(request_bytes)
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_head_that_does_not_come_in_time_is_not_waited_for(
    world: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remit.gateway.connections.HEAD_SECONDS", 0.2)
    for begun in (b"", HEAD):
        reader, writer = await connected(world)
        writer.write(begun)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_one_peer_cannot_take_all_connections(world: Served) -> None:
    taken = [await connected(world) for _ in range(CONNECTIONS_PER_PEER + 10)]
    refused = [asyncio.ensure_future(reader.read()) for reader, _ in taken]

    async def closed() -> int:
        return sum(waiting.done() for waiting in refused)

    assert await eventually_async(closed, lambda count: count >= 10) <= 11
    for waiting, (_, writer) in zip(refused, taken, strict=True):
        waiting.cancel()
        writer.close()

    async def answered() -> str:
        try:
            return (await world.call_raw("look", {}, "c1"))[2]["Remit-Budget"]
        except aiohttp.ClientError:
            return ""

    assert await eventually_async(answered) == "ok"
