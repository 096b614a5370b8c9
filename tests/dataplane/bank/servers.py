"""Starts the example's servers as processes of their own, and talks MCP to the bank."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

EXAMPLE = Path(__file__).parents[3] / "examples" / "01-bank-dispute"
BANK_KEY = "bank-key-for-tests-4f1c"
MODEL_KEY = "model-key-for-tests-9a2e"
MODERN, LEGACY = "2026-07-28", "legacy"


@dataclass(frozen=True)
class Server:
    """A running server, and where it listens."""

    process: subprocess.Popen[str]
    origin: str

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.communicate()


def start(module: str, *arguments: str) -> Server:
    """Start `python -m module` and wait for the line that tells where it listens."""
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE), "BANK_KEY": BANK_KEY, "MODEL_KEY": MODEL_KEY}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if "listens on" not in line:
        raise AssertionError(f"{module} did not start: {process.communicate()[1]}")
    return Server(process, line.split()[-1].rsplit("/", 1)[0])


def start_bank(database: Path, *arguments: str) -> Server:
    """Start a bank over a seeded database."""
    return start("bank", "serve", "--db", str(database), "--port", "0", "--seed", *arguments)


@dataclass(frozen=True)
class Bank:
    """The bank that a test talks to."""

    server: Server
    database: Path

    def contents(self, account: str) -> dict[str, list[dict[str, Any]]]:
        """Return what `python -m bank inspect` prints of an account."""
        # -S: it needs the standard library only, and starts in half the time.
        command = [sys.executable, "-S", "-m", "bank", "inspect", "--db", str(self.database), "--account", account]
        environment = {**os.environ, "PYTHONPATH": str(EXAMPLE)}
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        found: dict[str, list[dict[str, Any]]] = json.loads(printed.stdout)
        return found

    @asynccontextmanager
    async def client(self, mode: str = MODERN, **headers: str) -> AsyncIterator[Client]:
        """Connect the official SDK's client, with the bank's key and these headers."""
        fields = {"X-Bank-Key": BANK_KEY, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with httpx2.AsyncClient(headers=fields, timeout=10) as http:
            transport = streamable_http_client(f"{self.server.origin}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client


@dataclass(frozen=True)
class Claim:
    """An account and a payment of 12,550 cents that no other test touches."""

    account: str
    transaction_id: str

    @property
    def opening(self) -> dict[str, Any]:
        """The arguments that open its dispute."""
        return {
            "account": self.account,
            "transaction_id": self.transaction_id,
            "reason": "unauthorized",
            "amount_cents": 12550,
        }


async def open_dispute(client: Client, claim: Claim) -> str:
    """Open the claim's dispute and return its id."""
    result = await client.call_tool("open_dispute", claim.opening)
    assert not result.is_error, result
    return str(result.structured_content["dispute_id"])


def raw_call(tool: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and headers of a tools/call of protocol 2026-07-28."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "X-Bank-Key": BANK_KEY,
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    return body, headers
