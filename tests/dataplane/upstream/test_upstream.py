"""Upstreams over real sockets: what was sent, what was lost, and what is never followed or waited for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from remit.adapters import upstream
from remit.adapters.upstream import HttpUpstream, UpstreamTimeoutError
from remit.ports import UpstreamLostError, UpstreamNotSentError, UpstreamRequest

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Server:
    """A server that answers every request with the same bytes, or as it is told."""

    answer: Answer
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                await self.answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def says(raw: bytes, *, close: bool = False) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if close:
            writer.close()

    return answer


async def is_silent(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@pytest.fixture
async def client() -> AsyncIterator[HttpUpstream]:
    made = HttpUpstream()
    yield made
    await made.close()


def request_to(
    port: int, path: str = "/mcp", seconds: float = 5.0, headers: Mapping[str, str] | None = None
) -> UpstreamRequest:
    return UpstreamRequest("POST", f"http://127.0.0.1:{port}{path}", headers or {}, b'{"a":1}', seconds)


async def test_an_answer_is_whole(client: HttpUpstream) -> None:
    async with serving(says(OK)) as server:
        answer = await client.send(request_to(server.port, headers={"X-Bank-Key": "planted"}))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"{}", "application/json")
    head = server.requests[0].lower()
    assert head.startswith(b"post /mcp http/1.1\r\n")
    assert b"x-bank-key: planted\r\n" in head
    assert b"accept-encoding: identity\r\n" in head
    assert b"cookie" not in head


async def test_a_connection_is_used_again(client: HttpUpstream) -> None:
    async with serving(says(OK)) as server:
        for _ in range(5):
            await client.send(request_to(server.port))
    assert (len(server.requests), server.connections) == (5, 1)


async def test_calls_at_once_each_get_their_own_answer(client: HttpUpstream) -> None:
    async with serving(says(OK)) as server:
        answers = await asyncio.gather(*(client.send(request_to(server.port)) for _ in range(20)))
    assert [answer.body for answer in answers] == [b"{}"] * 20


async def test_a_redirect_is_not_followed(client: HttpUpstream) -> None:
    async with serving(says(OK)) as other:
        location = f"Location: http://127.0.0.1:{other.port}/x\r\n".encode()
        redirect = says(b"HTTP/1.1 307 Temporary Redirect\r\n" + location + b"Content-Length: 0\r\n\r\n")
        async with serving(redirect) as server:
            answer = await client.send(request_to(server.port))
    assert (answer.status, other.requests) == (307, [])


async def test_a_cookie_is_not_kept(client: HttpUpstream) -> None:
    async with serving(says(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))) as server:
        for _ in range(2):
            await client.send(request_to(server.port))
    assert b"cookie" not in server.requests[1].lower()


async def test_a_path_is_sent_as_it_stands(client: HttpUpstream) -> None:
    async with serving(says(OK)) as server:
        await client.send(request_to(server.port, "/a%2Fb/../c"))
    assert server.requests[0].startswith(b"POST /a%2Fb/../c HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/mcp",
        "http://nowhere.invalid/mcp",
        "http://[::1",
        "ftp://127.0.0.1/",
        "https://127.0.0.1:{port}/",
    ],
)
async def test_what_never_connected_was_not_sent(client: HttpUpstream, url: str) -> None:
    async with serving(says(b"no TLS here\r\n", close=True)) as server:
        target = UpstreamRequest("POST", url.replace("{port}", str(server.port)), {}, b"", 1.0)
        with pytest.raises(UpstreamNotSentError):
            await client.send(target)


async def test_a_header_that_breaks_the_line_was_not_sent(client: HttpUpstream) -> None:
    async with serving(says(OK)) as server:
        with pytest.raises(UpstreamNotSentError):
            await client.send(request_to(server.port, headers={"X-Key": "a\r\nX-Other: b"}))
    assert server.requests == []


async def test_a_connect_that_takes_too_long_was_not_sent(
    client: HttpUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_args: object, **_more: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", hang)
    monkeypatch.setattr(upstream, "CONNECT_SECONDS", 0.05)
    with pytest.raises(UpstreamNotSentError):
        await client.send(request_to(9, seconds=0.3))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConte", id="half a head"),
        pytest.param(OK[:-1], id="half a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", id="half a chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="no chunk"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 100_000 + b"\r\n\r\n", id="a head without end"),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), id="an encoding not asked for"),
    ],
)
async def test_an_answer_that_is_none_is_lost(client: HttpUpstream, raw: bytes) -> None:
    async with serving(says(raw, close=True)) as server:
        with pytest.raises(UpstreamLostError):
            await client.send(request_to(server.port))
    assert len(server.requests) == 1, "and the request is not sent again"


async def test_an_answer_without_end_is_bounded(client: HttpUpstream) -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serving(flood) as server:
        with pytest.raises(UpstreamLostError, match="larger than"):
            await client.send(request_to(server.port, seconds=30))


async def test_silence_is_a_timeout(client: HttpUpstream) -> None:
    async with serving(is_silent) as server:
        with pytest.raises(UpstreamTimeoutError) as caught:
            await client.send(request_to(server.port, seconds=0.2))
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, UpstreamLostError)


async def test_silence_after_the_head_is_a_timeout(client: HttpUpstream) -> None:
    async with serving(says(OK[:-1])) as server:
        with pytest.raises(UpstreamTimeoutError):
            await client.send(request_to(server.port, seconds=0.2))


async def test_a_connection_that_the_server_closed_is_not_used_again(client: HttpUpstream) -> None:
    async with serving(says(OK, close=True)) as server:
        for _ in range(3):
            await client.send(request_to(server.port))
    assert (len(server.requests), server.connections) == (3, 3)


async def test_after_a_failure_the_next_call_is_well(client: HttpUpstream) -> None:
    async with serving(says(OK[:-1], close=True)) as server:
        with pytest.raises(UpstreamLostError):
            await client.send(request_to(server.port))
        server.answer = says(OK)
        assert (await client.send(request_to(server.port))).body == b"{}"


async def test_no_fault_repeats_what_was_sent_or_said(client: HttpUpstream) -> None:
    async with serving(says(b"planted planted\r\n\r\n", close=True)) as server:
        with pytest.raises(UpstreamLostError) as caught:
            await client.send(request_to(server.port, headers={"X-Key": "planted"}))
    assert "planted" not in str(caught.value)


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_stream_comes_as_it_comes(client: HttpUpstream) -> None:
    more = asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"3\r\none\r\n")
        await more.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with serving(drip) as server:
        stream = await client.stream(request_to(server.port))
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        chunks = stream.chunks()
        assert await anext(chunks) == b"one", "before the second is written"
        more.set()
        assert [chunk async for chunk in chunks] == [b"two"]
        await stream.close()
        server.answer = says(OK)
        await client.send(request_to(server.port))
    assert server.connections == 1, "and its connection is used again"


async def test_a_stream_that_breaks_off_is_lost(client: HttpUpstream) -> None:
    async with serving(says(CHUNKED + b"3\r\none\r\n", close=True)) as server:
        stream = await client.stream(request_to(server.port))
        with pytest.raises(UpstreamLostError):
            assert [chunk async for chunk in stream.chunks()]
        await stream.close()


async def test_a_stream_that_falls_silent_is_a_timeout(client: HttpUpstream) -> None:
    async with serving(says(CHUNKED + b"3\r\none\r\n")) as server:
        stream = await client.stream(request_to(server.port, seconds=0.2))
        with pytest.raises(UpstreamTimeoutError):
            assert [chunk async for chunk in stream.chunks()]
        await stream.close()


async def test_a_stream_without_end_is_bounded(client: HttpUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "MAX_STREAM_BYTES", 10)
    async with serving(says(CHUNKED + b"3\r\none\r\n" * 10)) as server:
        stream = await client.stream(request_to(server.port))
        with pytest.raises(UpstreamLostError, match="larger than"):
            assert [chunk async for chunk in stream.chunks()]
        await stream.close()


async def test_a_stream_that_is_let_go_is_cut(client: HttpUpstream) -> None:
    gone = asyncio.Event()

    async def watch(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"3\r\none\r\n")
        while not writer.is_closing():
            writer.write(b"3\r\ntwo\r\n")
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.wait([asyncio.ensure_future(gone.wait())], timeout=0.01)
        gone.set()

    async with serving(watch) as server:
        stream = await client.stream(request_to(server.port))
        assert await anext(stream.chunks())
        await stream.close()
        async with asyncio.timeout(5):
            await gone.wait()


async def test_a_client_may_be_closed_unused_and_twice() -> None:
    unused = HttpUpstream()
    await unused.close()
    await unused.close()


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_request_that_is_cut_sends_nothing_more() -> None:
    """Closing alone would write out what waits for a slow reader: all of a request whose authority is gone."""
    size, received, may_read = 24 << 20, bytearray(), asyncio.Event()

    async def reads_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await may_read.wait()
            while chunk := await reader.read(1 << 20):
                received.extend(chunk)
        writer.close()
        read.set()

    read = asyncio.Event()
    listener = await asyncio.start_server(reads_late, "127.0.0.1", 0, limit=1 << 16)
    port = listener.sockets[0].getsockname()[1]
    client = HttpUpstream()
    asking = asyncio.ensure_future(
        client.send(UpstreamRequest("POST", f"http://127.0.0.1:{port}/", {}, bytes(size), 30))
    )
    try:
        done, _ = await asyncio.wait([asking], timeout=0.3)
        assert not done
        asking.cancel()
        await asyncio.wait([asking])
        may_read.set()
        async with asyncio.timeout(20):
            await read.wait()
        assert len(received) < size
    finally:
        listener.close()
        await client.close()
