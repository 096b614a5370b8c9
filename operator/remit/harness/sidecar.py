"""The sidecar of `runtime.container`: holds the pod's token, so that the agent's own container holds none.

Listens on 127.0.0.1 and passes each request on to the gateway with a fresh token; whatever credential an SDK sends
is dropped. It decides nothing.
"""

from __future__ import annotations

import time
from contextlib import closing
from http.client import HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from remit.api.names import SIDECAR_PORT
from remit.harness.client import REASON_HEADER, connected, is_suspended

MAX_BODY_BYTES = 16 * 1024 * 1024
SUSPENDED_SECONDS = 300.0
"""How long a call of a suspended run waits here: SDKs give up after ten minutes, and try again a few times only."""
PAUSE_SECONDS = 1.0
NOT_PASSED_ON = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
    }
)


class PassOn(BaseHTTPRequestHandler):
    """Passes one connection's requests on."""

    protocol_version = "HTTP/1.1"
    gateway: str
    token_path: Path

    def pass_on(self) -> None:
        """Send the request to the gateway and stream its answer back.

        While the run is suspended the client waits, within its own patience: SDKs try a few times only.
        """
        body = self._body()
        if body is None:
            return
        until = time.monotonic() + SUSPENDED_SECONDS
        try:
            while not self._send(body, may_wait=time.monotonic() < until):
                time.sleep(PAUSE_SECONDS)
        except (OSError, HTTPException) as error:
            self.close_connection = True
            if not getattr(self, "answered", False):
                self.send_error(503, "gateway not reachable", type(error).__name__)

    def _send(self, body: bytes, *, may_wait: bool) -> bool:
        """Send once, with a fresh token; False for a call that the gateway holds back and that may wait."""
        address = urlsplit(self.gateway)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
        headers["Authorization"] = f"Bearer {self.token_path.read_text().strip()}"
        with closing(connected(address)) as connection:
            connection.request(self.command, self.path, body=body, headers=headers)
            response = connection.getresponse()
            if may_wait and is_suspended(response.status, response.getheader(REASON_HEADER)):
                return False
            self._answer(response)
            return True

    do_GET = do_POST = do_DELETE = pass_on  # noqa: N815 (names that http.server calls)

    def _body(self) -> bytes | None:
        """Read the body; None when it was refused, answer sent."""
        if "transfer-encoding" in self.headers:
            self.close_connection = True
            self.send_error(411, "send a Content-Length")
            return None
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self.send_error(413, f"Content-Length must be a number up to {MAX_BODY_BYTES}")
            return None
        return self.rfile.read(int(length))

    def _answer(self, response: HTTPResponse) -> None:
        """Stream an answer in chunks as they come."""
        self.answered = True
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while chunk := response.read1(65_536):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (name of the base class)
        """Say nothing: the gateway keeps the record."""


def serve(gateway: str, token_path: Path, port: int = SIDECAR_PORT) -> ThreadingHTTPServer:
    """Return a server on 127.0.0.1 that is bound and not yet running."""
    handler = type("PassOnTo", (PassOn,), {"gateway": gateway, "token_path": token_path})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    return server
