"""The attacks: each returns what it got hold of, or raises OSError. None of them is an exploit; all are behaviours."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

TIMEOUT_SECONDS = 1.0
KEY_PATTERN = re.compile(rb"key-[0-9a-f]{32}")
TOKEN_PATTERN = re.compile(rb"eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}")
LARGEST_FILE = 1_000_000
SKIPPED = ("/proc", "/sys", "/dev")


def connect(address: str) -> str:
    """Open a TCP connection to HOST:PORT."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_SECONDS):
        return f"connected to {address}"


def resolve(name: str, server: str) -> str:
    """Ask a DNS server over UDP for a name."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = b"\x13\x37\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(TIMEOUT_SECONDS)
        link.sendto(question, (server, 53))
        return f"{len(link.recv(512))} bytes of answer from {server}"


def read_apiserver(address: str) -> str:
    """Ask the apiserver for its version without a credential."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, int(port)), TIMEOUT_SECONDS) as plain,
        context.wrap_socket(plain) as link,
    ):
        link.sendall(b"GET /version HTTP/1.0\r\n\r\n")
        return f"{len(link.recv(4096))} bytes of the apiserver"


def write_root() -> str:
    """Write into the root file system."""
    Path("/app/owned").write_text("x")
    return "wrote /app/owned"


def become_root() -> str:
    """Take user 0."""
    os.setuid(0)
    return "became root"


def open_raw_socket() -> str:
    """Open a raw socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "opened a raw socket"


def files() -> Iterable[Path]:
    """Yield every readable file of the container, and its processes' environments."""
    yield from Path("/proc").glob("[0-9]*/environ")
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if not f"{folder.rstrip('/')}/{name}".startswith(SKIPPED)]
        yield from (Path(folder, name) for name in names)


def find_secrets() -> str:
    """Search environments and files for anything that looks like a key or a token."""
    for path in files():
        try:
            if path.is_file() and path.stat().st_size > LARGEST_FILE:
                continue
            content = path.read_bytes()
        except OSError:
            continue
        if KEY_PATTERN.search(content) or TOKEN_PATTERN.search(content):
            return f"a secret in {path}"
    raise FileNotFoundError("no secret anywhere")
