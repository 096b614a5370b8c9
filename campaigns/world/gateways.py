"""A real gateway in a world, behind a gate of its own, and the agents that speak to it from their pods."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from campaigns.proxy.gate import Gate
from campaigns.proxy.plan import NOTHING, Plan
from campaigns.world.plane import free_port
from campaigns.world.players import NODE
from campaigns.world.processes import Program
from campaigns.world.stage import NotInTimeError, World
from remit.api.names import TOKEN_AUDIENCE

AGAIN_SECONDS = 0.2
MEANT = frozenset({200, 201, 202})


@dataclass(frozen=True)
class Gateway:
    """The gateway's process, the gate before it, and where it serves agents."""

    world: World
    program: Program
    gate: Gate
    url: str


@asynccontextmanager
async def with_gateway(world: World, plan: Plan = NOTHING, *, plant: str = "") -> AsyncIterator[Gateway]:
    """Run a gateway in the world until the end; grants and policies are its to acknowledge."""
    the_stage = world.stage
    the_stage.players.ungoverned.add(world.namespace)
    gate = Gate(world.namespace, lambda: again(world, gate), plan)
    async with the_stage.proxy.open(gate) as url:
        home = the_stage.folder / f"{world.namespace}-gateway"
        home.mkdir()
        port = free_port()
        settings = {
            "REMIT_LEDGER_PATH": str(home / "ledger.sqlite"),
            "REMIT_SIGNING_KEY_PATH": str(home / "none.key"),
            "REMIT_AGENT_PORT": str(port),
            "REMIT_CONTROL_PORT": str(free_port()),
            "plant": plant,
        }
        log = the_stage.folder / f"{world.namespace}-gateway.log"
        program = the_stage.program("gateway", url, log, **settings)
        world.programs.append(program)
        program.start()
        yield Gateway(world, program, gate, f"http://127.0.0.1:{port}")


def again(world: World, gate: Gate) -> None:
    """Kill the gateway and start it anew, as its Deployment would."""
    world.programs[1].kill()
    gate.listed = 0
    world.programs[1].start()


async def token_of(world: World, run: str) -> str:
    """Return the token that the node would project into the run's pod."""
    pod = world.pod_of(run)
    if pod is None:
        raise NotInTimeError(f"run {run} has no pod")
    account = pod["spec"]["serviceAccountName"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    body = {"spec": {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": 600, "boundObjectRef": bound}}
    path = f"/api/v1/namespaces/{world.namespace}/serviceaccounts/{account}/token"
    made = await world.stage.direct.must("POST", path, body, user=f"system:node:{NODE}", groups=("system:nodes",))
    return str(made["status"]["token"])


async def post(gateway: Gateway, run: str, path: str, body: Any) -> None:
    """Send what an agent sends, again until it is taken: the gateway may be starting just then."""
    world = gateway.world
    token, deadline, said = await token_of(world, run), time.monotonic() + world.patience, ""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        while time.monotonic() < deadline:
            try:
                async with session.post(gateway.url + path, json=body) as answer:
                    said = f"{answer.status} {(await answer.text())[:200]}"
                    if answer.status in MEANT:
                        return
            except (aiohttp.ClientError, OSError) as error:
                said = type(error).__name__
            await asyncio.sleep(AGAIN_SECONDS)
    raise NotInTimeError(f"{path} of {run} is not taken: {said}")
