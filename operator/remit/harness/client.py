"""The harness's only way out: HTTP at the gateway, with the pod's token read fresh for each request.

Every call carries an id of its own, so that asking again after a lost answer is safe: the gateway knows the call.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from remit.api import wire
from remit.api.reasons import CallReason

RETRY_SECONDS = 120.0
"""How long a gateway that is away is waited for."""
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
ANSWER_TIMEOUT_SECONDS = 900.0
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""A gateway that went without a word, its node with it, is noticed in 20 s, and not when the answer is overdue."""
MCP_VERSION = "2026-07-28"
REASON_HEADER = "remit-reason"


def connected(address: SplitResult) -> HTTPConnection:
    """Return a connection to the gateway that notices when nobody is at its other end any more; raises OSError."""
    connection = HTTPConnection(address.hostname or "", address.port or 80, timeout=ANSWER_TIMEOUT_SECONDS)
    connection.connect()
    for level, option, value in KEEP_ALIVE:
        connection.sock.setsockopt(level, option, value)
    return connection


def is_suspended(status: int, reason: str | None) -> bool:
    """Tell whether the gateway only holds the call back: its run is suspended."""
    return status == HTTPStatus.SERVICE_UNAVAILABLE and reason == CallReason.RUN_SUSPENDED


class GatewayAwayError(Exception):
    """The gateway could not be reached for longer than RETRY_SECONDS."""


class RefusedError(Exception):
    """The gateway refused; `reason` is a CallReason."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason beside the text."""
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises RefusedError for anything else."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            reason = self.headers.get(REASON_HEADER, "UpstreamMalformed")
            raise RefusedError(reason, f"the answer with status {self.status} is not a JSON object")
        return parsed


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool said: text for the model, and whether it is an error or a refusal."""

    text: str
    is_error: bool


class GatewayClient:
    """Speaks the run contract, MCP and a model protocol with the gateway."""

    def __init__(
        self, base_url: str, token_path: Path, pause: Callable[[float], None] = time.sleep, retry: float = RETRY_SECONDS
    ) -> None:
        """Talk to `base_url`; `pause` waits so many seconds between tries."""
        self._address = urlsplit(base_url)
        self._token_path = token_path
        self._pause = pause
        self._retry_seconds = retry
        self._connection: HTTPConnection | None = None

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send and return the answer; a lost connection and 503 are tried again, with the same body.

        A run that is suspended waits for as long as that lasts, and a pod that has no run yet until it gets one.
        """
        payload = None if body is None else json.dumps(body).encode()
        pause, waited = FIRST_PAUSE_SECONDS, 0.0
        while True:
            answer = self._once(method, path, payload, headers or {})
            if answer is not None and answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                return answer
            if answer is not None and answer.headers.get(REASON_HEADER) == CallReason.RUN_NOT_FOUND:
                # this pod stands ready, and has no run yet: the gateway holds the question, so ask again at once
                pause, waited = FIRST_PAUSE_SECONDS, 0.0
                self._pause(pause)
                continue
            if answer is not None and is_suspended(answer.status, answer.headers.get(REASON_HEADER)):
                pause, waited = FIRST_PAUSE_SECONDS, 0.0
            if waited >= self._retry_seconds:
                raise GatewayAwayError(f"{method} {path}: no answer in {self._retry_seconds:.0f} s")
            asked = float(answer.headers.get("retry-after", "0")) if answer else 0.0
            step = min(max(pause, asked), LONGEST_PAUSE_SECONDS)
            self._pause(step)
            waited, pause = waited + step, pause * 2

    def _once(self, method: str, path: str, payload: bytes | None, headers: Mapping[str, str]) -> Answer | None:
        """Send once; None when the connection failed."""
        sent = {
            "Authorization": f"Bearer {self._token_path.read_text().strip()}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **headers,
        }
        try:
            connection = self._connect()
            connection.request(method, self._address.path + path, body=payload, headers=sent)
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException):
            self.close()
            return None
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def _connect(self) -> HTTPConnection:
        """Return the kept connection, or a new one."""
        if self._connection is None:
            self._connection = connected(self._address)
        return self._connection

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def contract(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Make one call of the run contract; raises RefusedError when it is refused."""
        answer = self.request(method, path, body)
        document = answer.document()
        if answer.status >= HTTPStatus.BAD_REQUEST:
            error = document.get("error", {})
            raise RefusedError(str(error.get("reason", answer.status)), str(error.get("message", "")))
        return document

    def _mcp(self, method: str, params: dict[str, Any], call_id: str, name: str = "") -> dict[str, Any]:
        """Make one stateless MCP request and return its result."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": MCP_VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "remit-harness", "version": "1"},
            wire.META_CALL_ID: call_id,
        }
        headers = {"MCP-Protocol-Version": MCP_VERSION, "Mcp-Method": method}
        if name:
            headers["Mcp-Name"] = name
        body = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": {**params, "_meta": meta}}
        document = self.request("POST", wire.MCP_PATH, body, headers).document()
        if "error" in document:
            error = document["error"]
            reason = (error.get("data") or {}).get("reason") or error.get("reason") or error.get("code")
            raise RefusedError(str(reason), str(error.get("message", "")))
        return dict(document["result"])

    def tools(self) -> list[dict[str, Any]]:
        """Return the granted tools: name, description, inputSchema."""
        return list(self._mcp("tools/list", {}, "tools-list")["tools"])

    def call_tool(self, name: str, arguments: dict[str, Any], call_id: str) -> ToolAnswer:
        """Call a tool; a refusal comes back as an error text that the model can read."""
        try:
            result = self._mcp("tools/call", {"name": name, "arguments": arguments}, call_id, name)
        except RefusedError as refused:
            error = {"reason": refused.reason, "message": refused.message}
            return ToolAnswer(json.dumps({"error": error}), is_error=True)
        texts = [part.get("text", "") for part in result.get("content", []) if part.get("type") == "text"]
        if not texts and "structuredContent" in result:
            texts = [json.dumps(result["structuredContent"])]
        return ToolAnswer("\n".join(texts), bool(result.get("isError", False)))

    def call_model(self, path: str, body: dict[str, Any], call_id: str, *, hand_over: bool) -> Answer:
        """Make one model call."""
        headers = {wire.HEADER_CALL_ID: call_id}
        if hand_over:
            headers[wire.HEADER_HANDOVER] = "true"
        return self.request("POST", path, body, headers)
