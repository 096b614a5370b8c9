"""The harness's connection and the sidecar, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from remit.harness import sidecar
from remit.harness.client import FIRST_PAUSE_SECONDS, GatewayAwayError, GatewayClient, connected
from remit.harness.sidecar import serve

SUSPENDED, NO_RUN_YET = "suspended", "no run yet"
REASONS = {SUSPENDED: "RunSuspended", NO_RUN_YET: "RunNotFound"}


class Recorder(BaseHTTPRequestHandler):
    """Answers from `script` in turn and keeps what came."""

    protocol_version = "HTTP/1.1"
    script: list[Any]
    seen: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        """Answer with the next step of the script: a status, SUSPENDED, `drop`, or a list of chunks."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        step = self.script.pop(0)
        if step == "drop":
            self.close_connection = True
            return
        if isinstance(step, list):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in step:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            return
        if step in REASONS:
            self.send_response(503)
            self.send_header("Remit-Reason", REASONS[step])
        else:
            self.send_response(step)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[int]:
    """Run `server` and yield its port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def a_gateway(*script: Any) -> Iterator[tuple[int, list[tuple[str, dict[str, str], bytes]]]]:
    """Run a recorder with `script`; yield its port and what it has seen."""
    seen: list[tuple[str, dict[str, str], bytes]] = []
    handler = type("Scripted", (Recorder,), {"script": list(script), "seen": seen})
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        yield port, seen


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """Return a token file."""
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


def test_a_lost_answer_and_a_gateway_that_is_away_are_tried_again_with_the_same_body(token: Path) -> None:
    pauses: list[float] = []
    with a_gateway("drop", 503, 200) as (port, seen):
        client = GatewayClient(f"http://127.0.0.1:{port}", token, pauses.append)
        answer = client.request("POST", "/x", {"a": 1})
        client.close()
    assert (answer.status, [body for _, _, body in seen], len(pauses)) == (200, [b'{"a": 1}'] * 3, 2)


def test_the_token_is_read_again_for_each_request(token: Path) -> None:
    with a_gateway(200, 200) as (port, seen):
        client = GatewayClient(f"http://127.0.0.1:{port}", token, lambda _: None)
        client.request("POST", "/x")
        token.write_text("second")
        client.request("POST", "/x")
        client.close()
    assert [headers["authorization"] for _, headers, _ in seen] == ["Bearer first", "Bearer second"]


def test_a_gateway_that_stays_away_is_given_up_at_the_bound(token: Path) -> None:
    client = GatewayClient("http://127.0.0.1:1", token, lambda _: None, retry=1.0)
    with pytest.raises(GatewayAwayError, match="no answer in 1 s"):
        client.request("GET", "/x")


def test_the_sidecar_replaces_every_credential_and_streams_the_answer(token: Path) -> None:
    with (
        a_gateway([b"one", b"two"]) as (port, seen),
        running(serve(f"http://127.0.0.1:{port}", token, port=0)) as door,
    ):
        connection = HTTPConnection("127.0.0.1", door, timeout=5)
        connection.request("POST", "/y", body=b"hi", headers={"Authorization": "Bearer mine", "X-Api-Key": "mine"})
        assert connection.getresponse().read() == b"onetwo"
        connection.close()
    path, headers, body = seen[0]
    assert (path, body, headers["authorization"], "x-api-key" in headers) == ("/y", b"hi", "Bearer first", False)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Transfer-Encoding": "chunked"}, 411), ({"Content-Length": "99999999"}, 413), ({"Content-Length": "x"}, 413)],
)
def test_the_sidecar_refuses_bodies_without_a_sane_length(token: Path, headers: dict[str, str], status: int) -> None:
    with running(serve("http://127.0.0.1:1", token, port=0)) as door:
        connection = HTTPConnection("127.0.0.1", door, timeout=5)
        connection.putrequest("POST", "/y")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


def test_the_sidecar_says_503_when_the_gateway_is_away(token: Path) -> None:
    with running(serve("http://127.0.0.1:1", token, port=0)) as door:
        connection = HTTPConnection("127.0.0.1", door, timeout=5)
        connection.request("POST", "/y", body=b"hi")
        assert connection.getresponse().status == 503
        connection.close()


def test_a_suspended_run_waits_longer_than_any_gateway_is_waited_for(token: Path) -> None:
    pauses: list[float] = []
    with a_gateway(*[SUSPENDED] * 40, 200) as (port, seen):
        client = GatewayClient(f"http://127.0.0.1:{port}", token, pauses.append, retry=0.1)
        answer = client.request("POST", "/x", {"a": 1})
        client.close()
    assert (answer.status, len(seen)) == (200, 41)
    assert len(pauses) == 40


def test_the_sidecar_waits_for_a_client_that_cannot(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecar, "PAUSE_SECONDS", 0.01)
    with (
        a_gateway(SUSPENDED, SUSPENDED, 200) as (upstream, seen),
        running(serve(f"http://127.0.0.1:{upstream}", token, 0)) as port,
    ):
        connection = HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/openai/v1/chat/completions", body=b"{}")
        status = connection.getresponse().status
        connection.close()
    assert (status, [body for _, _, body in seen]) == (200, [b"{}"] * 3)


def test_the_sidecar_waits_no_longer_than_its_client_would(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecar, "SUSPENDED_SECONDS", 0.0)
    with a_gateway(SUSPENDED) as (upstream, _), running(serve(f"http://127.0.0.1:{upstream}", token, 0)) as port:
        connection = HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/x", body=b"{}")
        answer = connection.getresponse()
        status, reason = answer.status, answer.getheader("Remit-Reason")
        connection.close()
    assert (status, reason) == (503, "RunSuspended")


def test_a_pod_without_a_run_asks_again_at_once_for_as_long_as_it_takes(token: Path) -> None:
    pauses: list[float] = []
    with a_gateway(*[NO_RUN_YET] * 300, 200) as (port, seen):
        client = GatewayClient(f"http://127.0.0.1:{port}", token, pauses.append, retry=1.0)
        answer = client.request("POST", "/x")
        client.close()
    assert (answer.status, len(seen)) == (200, 301)
    assert set(pauses) == {FIRST_PAUSE_SECONDS}


def test_a_gateway_that_went_without_a_word_is_noticed_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with closing(connected(urlsplit(f"http://127.0.0.1:{listener.getsockname()[1]}"))) as connection:
            asked = connection.sock.getsockopt
            assert asked(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, pause, count = (
                asked(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
        assert idle + pause * count <= 20
