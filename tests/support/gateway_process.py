"""A gateway on loopback: the production composition over a fake cluster, here or in a process of its own to be killed.

    python -m tests.support.gateway_process DIRECTORY

serves the world that DIRECTORY/world.json describes until it is killed; its ledger is DIRECTORY/ledger.sqlite.
"""

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from socket import create_server, socket
from typing import Any

import aiohttp
import uvloop
from tests.support.fake_authority import TOKEN, FakeCluster, a_pod, a_policy, a_review, a_secret, admit, an_agent
from tests.support.memory_ledger import MemoryLedger, signer_for_tests
from tests.support.polling import eventually, eventually_async

from remit.adapters.cel import CelEngine
from remit.adapters.clock import SystemClock
from remit.adapters.identity import TokenReviewIdentity
from remit.adapters.schemas import JsonSchemaEngine
from remit.adapters.secrets import KubernetesSecrets
from remit.adapters.sqlite_ledger import SqliteLedger
from remit.adapters.upstream import HttpUpstream
from remit.gateway.__main__ import stop_signal
from remit.gateway.authority import Engines
from remit.gateway.compose import Gateway, Outside, compose, serve
from remit.gateway.settings import Settings
from remit.ports import Ledger, Upstream

ENGINES = Engines(CelEngine(), JsonSchemaEngine())
ROOT = Path(__file__).resolve().parents[2]
SECRET = "bank-secret-Q7"
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def a_world(*objects: Mapping[str, Any], hosts: str = "127.0.0.1") -> FakeCluster:
    """A cluster with one agent, one run in its pod, a Secret; `objects` are its grants, and a policy or more."""
    cluster = FakeCluster()
    kinds = {each["kind"] for each in objects}
    given = [*objects] + ([] if "Policy" in kinds else [a_policy()]) + ([] if "Agent" in kinds else [an_agent()])
    for each in (*given, a_pod(), a_secret(SECRET, hosts)):
        cluster.put(dict(each))
    cluster.tokens[TOKEN] = a_review()
    admit(cluster, ENGINES)
    return cluster


@dataclass
class Served:
    """A gateway that serves, and how to talk to it as the run's pod."""

    cluster: FakeCluster
    gateway: Gateway | None
    ledger: Ledger
    url: str
    control_url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        """POST JSON, or bytes as they are."""
        sent = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"} | headers
        async with self.session.post(self.url + path, data=sent, headers=given) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text[:1] in b"{[" and text else text, answer.headers

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """GET at the agents' port."""
        async with self.session.get(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"} | headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def control(self, path: str) -> tuple[int, Any]:
        """GET at the control port."""
        async with self.session.get(self.control_url + path) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else text

    async def call(self, name: str, arguments: Mapping[str, Any] | None = None, call_id: str = "", **more: str) -> Any:
        """Call a tool; return the JSON-RPC answer."""
        _, answer, _ = await self.call_raw(name, arguments, call_id, **more)
        return answer

    async def call_raw(
        self, name: str, arguments: Mapping[str, Any] | None = None, call_id: str = "", **more: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Call a tool; return status, JSON-RPC answer and headers."""
        meta = MODERN_META | ({"remit.dev/call-id": call_id} if call_id else {})
        params = {"name": name, "arguments": dict(arguments or {}), "_meta": meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": name} | more
        return await self.post("/mcp", body, **headers)

    async def kinds(self) -> list[str]:
        """Return the kinds of the run's evidence entries, in order."""
        return [entry["predicateType"].split("/")[-2] for entry in await self.entries()]

    async def entries(self, uid: str = "run-uid-1") -> list[Any]:
        """Return the run's evidence entries."""
        return [json.loads(entry.body) for entry in (await self.ledger.export(uid)).entries]


def reason_of(answer: Any) -> str:
    """Return the reason word of a tool result that refuses, else empty."""
    reason: str = answer.get("result", {}).get("_meta", {}).get("remit.dev/reason", "")
    return reason


def listening() -> socket:
    """Return a listening socket on loopback, on a port that is free."""
    return create_server(("127.0.0.1", 0))


def url_of(opened: socket) -> str:
    """Return the URL of a listening socket."""
    return f"http://127.0.0.1:{opened.getsockname()[1]}"


@contextlib.asynccontextmanager
async def served(
    cluster: FakeCluster,
    *,
    ledger: Ledger | None = None,
    upstream: Upstream | None = None,
    settings: Settings | None = None,
) -> AsyncIterator[Served]:
    """Serve in this process."""
    ledger = ledger or MemoryLedger(signer_for_tests())
    sockets = listening(), listening()
    real = HttpUpstream()
    gateway = compose(settings or Settings(), outside_of(cluster, ledger, upstream or real))
    stopping = asyncio.Event()
    serving = asyncio.create_task(serve(gateway, stopping, sockets))
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            world = Served(cluster, gateway, ledger, url_of(sockets[0]), url_of(sockets[1]), session)
            await eventually_async(lambda: world.control("/readyz"), lambda seen: seen[0] == 200, why="ready")
            yield world
    finally:
        stopping.set()
        await serving
        await real.close()


def outside_of(cluster: FakeCluster, ledger: Ledger, upstream: Upstream) -> Outside:
    """Return what the gateway needs of the world: real but for the cluster."""
    clock = SystemClock()
    return Outside(
        clock=clock,
        cluster=cluster,
        identity=TokenReviewIdentity(cluster, clock),
        ledger=ledger,
        secrets=KubernetesSecrets(cluster, clock, "remit-system"),
        upstream=upstream,
        engines=ENGINES,
        verifier_key=signer_for_tests().verifier.text(),
    )


def world_file(cluster: FakeCluster) -> str:
    """Return the world as a process of its own reads it."""
    return json.dumps({"objects": list(cluster.objects.values()), "tokens": cluster.tokens})


def read_world(directory: Path) -> FakeCluster:
    """Read the world back."""
    world = json.loads((directory / "world.json").read_text())
    cluster = FakeCluster()
    for stored in world["objects"]:
        cluster.put(stored)
    cluster.tokens = world["tokens"]
    return cluster


@dataclass
class GatewayProcess:
    """A gateway in a process of its own."""

    process: "subprocess.Popen[bytes]"
    url: str
    control_url: str


@contextlib.contextmanager
def spawned(directory: Path, cluster: FakeCluster, **environment: str) -> Iterator[GatewayProcess]:
    """Serve in another process; a killed one is not an error."""
    (directory / "world.json").write_text(world_file(cluster))
    ports = directory / "ports.json"
    ports.unlink(missing_ok=True)
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.gateway_process", str(directory)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"} | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        agents, control = json.loads(eventually(ports.read_text, within_seconds=20, why="the gateway's ports"))
        yield GatewayProcess(process, agents, control)
    finally:
        process.kill()
        process.wait()


async def _main(directory: Path) -> None:
    """Serve the world of the directory until killed, or asked to end."""
    cluster = read_world(directory)
    ledger = await SqliteLedger.open(directory / "ledger.sqlite", signer_for_tests())
    sockets = listening(), listening()
    gateway = compose(Settings(), outside_of(cluster, ledger, HttpUpstream()))
    serving = asyncio.create_task(serve(gateway, stop_signal(), sockets))
    while not gateway.gate.authority.is_fresh():
        await gateway.gate.authority.until(gateway.gate.authority.is_fresh, 1)
    waiting = directory / "ports.tmp"
    waiting.write_text(json.dumps([url_of(sockets[0]), url_of(sockets[1])]))
    waiting.rename(directory / "ports.json")
    try:
        await serving
    finally:
        await ledger.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(Path(sys.argv[1])))
