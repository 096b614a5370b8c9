"""A gateway that is asked to end finishes the calls under way, takes no new one, and leaves the ledger whole."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from tests.support.fake_authority import TOKEN, a_grant, a_model_grant
from tests.support.fake_upstream import FakeUpstream, tool_result, upstream
from tests.support.gateway_process import MODERN_META, GatewayProcess, a_world, reason_of, spawned
from tests.support.memory_ledger import signer_for_tests
from tests.support.polling import eventually_async

from remit.adapters.sqlite_ledger import SqliteLedger


def held(bank: FakeUpstream) -> None:
    """Have the bank answer when the test says."""

    async def answer(_: web.Request, body: Any) -> web.StreamResponse:
        await bank.gate.wait()
        return web.json_response(tool_result(body))

    bank.serve = answer


async def credit(session: aiohttp.ClientSession, gateway: GatewayProcess) -> Any:
    """Make a write, as the run's pod; return the JSON-RPC answer."""
    meta = MODERN_META | {"remit.dev/call-id": "c1"}
    params = {"name": "credit", "arguments": {"amount": 5}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "credit",
    }
    async with session.post(f"{gateway.url}/mcp", json=body, headers=headers) as answer:
        return json.loads(await answer.read())


async def calls(bank: FakeUpstream) -> int:
    return bank.calls


async def refuses_connections(session: aiohttp.ClientSession, gateway: GatewayProcess) -> bool:
    try:
        async with session.get(f"{gateway.control_url}/healthz"):
            return False
    except aiohttp.ClientConnectionError:
        return True


async def kinds(directory: Path) -> list[str]:
    """Return what the ledger holds of the run, as the next gateway reads it."""
    ledger = await SqliteLedger.open(directory / "ledger.sqlite", signer_for_tests())
    try:
        entries = (await ledger.export("run-uid-1")).entries
    finally:
        await ledger.close()
    return [json.loads(entry.body)["predicateType"].split("/")[-2] for entry in entries]


async def test_sigterm_lets_a_call_under_way_finish_and_takes_no_new_one(tmp_path: Path) -> None:
    async with upstream() as bank, aiohttp.ClientSession() as session:
        held(bank)
        with spawned(tmp_path, a_world(a_grant(bank.url), a_model_grant(bank.url))) as gateway:
            asking = asyncio.ensure_future(credit(session, gateway))
            await eventually_async(lambda: calls(bank), lambda seen: seen == 1, within_seconds=20)
            gateway.process.send_signal(signal.SIGTERM)
            async with aiohttp.ClientSession() as stranger:
                await eventually_async(lambda: refuses_connections(stranger, gateway), why="no new connection is taken")
            bank.gate.set()

            assert reason_of(await asking) == ""
            assert await asyncio.to_thread(gateway.process.wait, 20) == 0
    assert await kinds(tmp_path) == ["bundle", "intent", "outcome"]
