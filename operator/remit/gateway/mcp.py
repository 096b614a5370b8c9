"""The Model Context Protocol as agents speak it to the gateway: bytes in, one message out, and back. Pure.

Two eras: 2026-07-28, where each POST stands alone and its headers must equal its body, and the handshake of
2025-11-25 and before, of which nothing needs to be remembered. What is decided on is the body.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from remit.api.reasons import CallReason
from remit.api.wire import META_CALL_ID
from remit.core.digest import digest_of
from remit.gateway.jsontext import MAX_BODY_BYTES, MalformedError, parse, write

MODERN: Final = "2026-07-28"
HANDSHAKE_VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
SUPPORTED: Final = (MODERN, *HANDSHAKE_VERSIONS)
META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
META_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
META_CLIENT: Final = "io.modelcontextprotocol/clientInfo"
META_SERVER: Final = "io.modelcontextprotocol/serverInfo"
SERVER_INFO: Final = {"name": "remit-gateway", "version": "1"}
MAX_CALL_ID_CHARACTERS: Final = 128
_MAX_ID_CHARACTERS = 256
MAX_SHOWN_CHARACTERS: Final = 64

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_PROTOCOL_VERSION: Final = -32022

RequestId = int | str
_ROUTING_HEADERS = (b"mcp-protocol-version", b"mcp-method", b"mcp-name")
_WRAPPED = re.compile(r"=\?base64\?(.*)\?=")
_PLAIN_HEADER = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Initialize:
    """The handshake begins; `version` is what is agreed on."""

    id: RequestId
    version: str


@dataclass(frozen=True, slots=True)
class Discover:
    """The caller asks what the server speaks."""

    id: RequestId


@dataclass(frozen=True, slots=True)
class Ping:
    """The caller asks whether the server is there."""

    id: RequestId


@dataclass(frozen=True, slots=True)
class ListTools:
    """The caller asks which tools there are."""

    id: RequestId
    modern: bool


@dataclass(frozen=True, slots=True)
class CallTool:
    """A tool is called; `call_id` is empty where the caller gave none."""

    id: RequestId
    modern: bool
    name: str
    arguments: dict[str, Any]
    arguments_digest: str
    """`sha256:HEX` of the arguments."""
    call_id: str


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that is owed no answer but 202."""

    method: str


@dataclass(frozen=True, slots=True)
class McpFault:
    """A message that is refused as such: HTTP status, JSON-RPC error, and our reason."""

    status: int
    code: int
    reason: CallReason
    message: str
    id: RequestId | None = None
    supported: tuple[str, ...] = ()
    requested: str = ""

    def body(self) -> bytes:
        """Return the JSON-RPC error."""
        data: dict[str, Any] = {"reason": str(self.reason)}
        if self.supported:
            data |= {"supported": list(self.supported), "requested": self.requested}
        error = {"code": self.code, "message": self.message, "data": data}
        return write({"jsonrpc": "2.0", "id": self.id, "error": error})


Message = Initialize | Discover | Ping | ListTools | CallTool | Notification


@dataclass(frozen=True, slots=True)
class _Envelope:
    """A request whose JSON-RPC shape is good."""

    id: RequestId
    method: str
    params: dict[str, Any]
    meta: dict[str, Any]

    def fault(self, code: int, reason: CallReason, message: str) -> McpFault:
        return McpFault(404 if code == METHOD_NOT_FOUND else 400, code, reason, message, self.id)

    def invalid(self, message: str) -> McpFault:
        return self.fault(INVALID_PARAMS, CallReason.MALFORMED, message)


def parse_message(
    headers: Iterable[tuple[bytes, bytes]], body: bytes, *, max_bytes: int = MAX_BODY_BYTES
) -> Message | McpFault:
    """Return the one message of a POST, or why it is refused. `headers` are ASGI's: lower-case names."""
    try:
        value = parse(body, max_bytes=max_bytes)
    except MalformedError as error:
        status = 413 if error.reason is CallReason.TOO_LARGE else 400
        return McpFault(status, PARSE_ERROR, error.reason, str(error))
    envelope = _envelope_of(value)
    if not isinstance(envelope, _Envelope):
        return envelope
    return _routed(envelope, _routing_of(headers))


def _routed(envelope: _Envelope, routing: Mapping[bytes, str] | None) -> Message | McpFault:
    """Tell the eras apart."""
    if routing is None:
        return _mismatch(envelope, "a routing header stands twice")
    version = routing.get(b"mcp-protocol-version")
    if envelope.method == "initialize":
        return _initialize(envelope)
    if version == MODERN or META_VERSION in envelope.meta:
        return _modern_fault(envelope, routing) or _dispatch(envelope, modern=True)
    if version is not None and version not in HANDSHAKE_VERSIONS:
        return _unsupported(envelope, version)
    return _dispatch(envelope, modern=False)


def _envelope_of(value: Any) -> _Envelope | Notification | McpFault:
    """Check the JSON-RPC shape: one request or notification, no batch, no response."""
    if isinstance(value, list):
        return _not_a_request("batches are not taken: send one message per POST")
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        return _not_a_request("the body must be one JSON-RPC 2.0 request")
    method, params = value.get("method"), value.get("params", {})
    if not isinstance(method, str) or not method or len(method) > _MAX_ID_CHARACTERS:
        return _not_a_request("method must be a text")
    if "id" not in value:
        return Notification(method)
    return _request_of(value["id"], method, params)


def _request_of(identifier: Any, method: str, params: Any) -> _Envelope | McpFault:
    if not _is_id(identifier):
        return _not_a_request("id must be a number or a text")
    meta = params.get("_meta", {}) if isinstance(params, dict) else None
    if not isinstance(params, dict) or not isinstance(meta, dict):
        return McpFault(
            400,
            INVALID_PARAMS,
            CallReason.MALFORMED,
            "params and params._meta must be objects",
            identifier,
        )
    return _Envelope(identifier, method, params, meta)


def _not_a_request(message: str) -> McpFault:
    return McpFault(400, INVALID_REQUEST, CallReason.MALFORMED, message)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_ID_CHARACTERS
    return isinstance(value, int) and not isinstance(value, bool)


def _routing_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str] | None:
    """Return the routing headers, None where one stands twice: two readers would disagree."""
    found: dict[bytes, str] = {}
    for name, content in headers:
        if name in _ROUTING_HEADERS:
            if name in found:
                return None
            found[name] = content.decode("latin-1")
    return found


def _mismatch(envelope: _Envelope, message: str) -> McpFault:
    return envelope.fault(HEADER_MISMATCH, CallReason.HEADER_MISMATCH, message)


def _unsupported(envelope: _Envelope, requested: str) -> McpFault:
    return McpFault(
        400,
        UNSUPPORTED_PROTOCOL_VERSION,
        CallReason.UNSUPPORTED_VERSION,
        "Unsupported protocol version",
        envelope.id,
        SUPPORTED,
        requested[:MAX_SHOWN_CHARACTERS],
    )


def _modern_fault(envelope: _Envelope, routing: Mapping[bytes, str]) -> McpFault | None:
    """Check what 2026-07-28 asks of every request: the envelope, and headers that equal it."""
    missing = [key for key in (META_VERSION, META_CAPABILITIES) if key not in envelope.meta]
    if missing:
        return envelope.invalid(f"params._meta lacks {', '.join(missing)}")
    version = envelope.meta[META_VERSION]
    if not isinstance(version, str) or not isinstance(envelope.meta[META_CAPABILITIES], dict):
        return envelope.invalid("params._meta: protocolVersion is a text, clientCapabilities an object")
    if routing.get(b"mcp-protocol-version") != version:
        return _mismatch(envelope, "the header MCP-Protocol-Version does not equal the body")
    if routing.get(b"mcp-method") != envelope.method:
        return _mismatch(envelope, "the header Mcp-Method does not equal the body")
    named = envelope.params.get("name") if envelope.method == "tools/call" else None
    if isinstance(named, str) and _unwrapped(routing.get(b"mcp-name")) != named:
        return _mismatch(envelope, "the header Mcp-Name does not equal the body")
    return None if version == MODERN else _unsupported(envelope, version)


def _unwrapped(header: str | None) -> str | None:
    """Undo the header encoding of names; None where it is malformed."""
    wrapped = _WRAPPED.fullmatch(header or "")
    if wrapped is None:
        return header
    try:
        content = base64.b64decode(wrapped[1], validate=True)
        return content.decode() if base64.b64encode(content).decode() == wrapped[1] else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def header_value(name: str) -> str:
    """Return a name as a header carries it: as it is, or in base64 where a header would change it."""
    if _PLAIN_HEADER.fullmatch(name) and not _WRAPPED.fullmatch(name):
        return name
    return f"=?base64?{base64.b64encode(name.encode()).decode()}?="


def _initialize(envelope: _Envelope) -> Message | McpFault:
    wanted = envelope.params.get("protocolVersion")
    if not isinstance(wanted, str):
        return envelope.invalid("protocolVersion must be a text")
    return Initialize(envelope.id, wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[0])


def _dispatch(envelope: _Envelope, *, modern: bool) -> Message | McpFault:
    match envelope.method:
        case "tools/call":
            return _call(envelope, modern=modern)
        case "tools/list":
            if envelope.params.get("cursor") is not None:
                return envelope.invalid("cursor: there is one page only")
            return ListTools(envelope.id, modern)
        case "server/discover" if modern:
            return Discover(envelope.id)
        case "ping" if not modern:
            return Ping(envelope.id)
    fault = envelope.fault(
        METHOD_NOT_FOUND,
        CallReason.UNKNOWN_METHOD,
        f"Method not found: {envelope.method[:MAX_SHOWN_CHARACTERS]}",
    )
    return fault if modern else McpFault(200, fault.code, fault.reason, fault.message, fault.id)


def _call(envelope: _Envelope, *, modern: bool) -> Message | McpFault:
    name, arguments = envelope.params.get("name"), envelope.params.get("arguments")
    call_id = envelope.meta.get(META_CALL_ID, "")
    if not isinstance(name, str) or not name:
        return envelope.invalid("name must be the name of a tool")
    if not isinstance(arguments, dict | None):
        return envelope.invalid("arguments must be an object")
    if call_id != "" and not is_call_id(call_id):
        return envelope.invalid(f"_meta {META_CALL_ID} must be a printable text of at most {MAX_CALL_ID_CHARACTERS}")
    if envelope.params.get("task") is not None:
        return envelope.invalid("task: calls as tasks are not supported")
    given = arguments or {}
    try:
        digest = digest_of(given)
    except ValueError:
        return envelope.invalid("arguments: a number or a text that JSON readers do not keep exact")
    return CallTool(envelope.id, modern, name, given, digest, call_id)


def is_call_id(value: Any) -> bool:
    """Tell whether a value can name a call: it stands in keys, evidence and messages."""
    return isinstance(value, str) and 0 < len(value) <= MAX_CALL_ID_CHARACTERS and value.isprintable()
