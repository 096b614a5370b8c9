"""The stage of a campaign: one control plane, seen straight, and many worlds on it, a namespace and programs each."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any

from campaigns.proxy.gate import Gate
from campaigns.proxy.plan import NOTHING, Plan
from campaigns.proxy.server import Proxy
from campaigns.world.direct import Direct, administrator
from campaigns.world.observer import Observer
from campaigns.world.plane import Plane, free_port
from campaigns.world.players import Players
from campaigns.world.processes import Program
from campaigns.world.state import State, state_of
from remit.adapters.access import Access, from_kubeconfig
from remit.adapters.cluster import KubernetesCluster

CONVERGES_WITHIN = 60.0
CLOSING_SECONDS = 0.5
"""What connections that were broken off need to be closed before their loop is."""
Object = dict[str, Any]
SHORT_WAITS = {
    "REMIT_HARNESS_IMAGE": "remit.dev/harness:1",
    "REMIT_HOST": "127.0.0.1",
    "REMIT_OUTCOME_GRACE_SECONDS": "1",
    "REMIT_STOP_GRACE_SECONDS": "1",
    "REMIT_RESYNC_SECONDS": "3",
    "REMIT_LEASE": "off",
    "REMIT_PROBE": "off",
}
NUMBERS = count(1)


class NotInTimeError(Exception):
    """Something that had to come did not come."""


@dataclass
class World:
    """One namespace, the program that looks after it, and the gate between the two."""

    stage: "Stage"
    namespace: str
    gate: Gate
    programs: list[Program]
    patience: float = CONVERGES_WITHIN
    """How long to wait for what has to come."""

    async def create(self, *things: Object) -> None:
        """Create objects as a user, in the namespace."""
        for thing in things:
            await self.stage.direct.create(thing, self.namespace)

    async def patch(self, kind: str, name: str, change: Mapping[str, Any], *, part: str = "") -> None:
        """Merge a patch into an object."""
        await self.stage.direct.patch(kind, self.namespace, name, change, part=part)

    async def delete(self, kind: str, name: str, **options: Any) -> None:
        """Delete an object."""
        await self.stage.direct.delete(kind, self.namespace, name, **options)

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object as it is now."""
        return self.stage.observer.get(kind, self.namespace, name)

    def within(self, kind: str) -> list[Object]:
        """Return the kind's objects."""
        return self.stage.observer.within(kind, self.namespace)

    def reason(self, kind: str, name: str) -> str:
        """Return the reason of an object's leading condition."""
        return self.stage.observer.reason(kind, self.namespace, name)

    async def until(self, look: Callable[[], Any], why: str, seconds: float = 0.0) -> None:
        """Wait until it is so."""
        seconds = seconds or self.patience
        if not await self.stage.observer.until(look, seconds):
            raise NotInTimeError(f"not within {seconds:g} s: {why}")

    async def poll(self, look: Callable[[], Any], why: str, seconds: float = 0.0) -> None:
        """Wait until it is so, of something that no event tells."""
        deadline = time.monotonic() + (seconds or self.patience)
        while not look():
            if time.monotonic() > deadline:
                raise NotInTimeError(f"not in time: {why}")
            await self.poll_once()

    @staticmethod
    async def poll_once() -> None:
        """Wait for the length of one look."""
        await asyncio.sleep(0.05)

    async def stands(self, kind: str, name: str, *reasons: str) -> None:
        """Wait until an object's leading condition has one of these reasons."""
        try:
            await self.until(lambda: self.reason(kind, name) in reasons, f"{kind} {name} is {' or '.join(reasons)}")
        except NotInTimeError as error:
            status = (self.get(kind, name) or {}).get("status")
            raise NotInTimeError(f"{error}; it is {json.dumps(status)[:2000]}") from error

    async def say(self, name: str, **status: Any) -> None:
        """Write a part of a run's status as the gateway."""
        run = self.get("AgentRun", name)
        if run is not None:
            await self.stage.direct.say(run, status)

    def pod_of(self, run: str) -> Object | None:
        """Return the pod that a run's status names."""
        named = (((self.get("AgentRun", run) or {}).get("status") or {}).get("pod") or {}).get("name", "")
        return self.get("Pod", named)

    def state(self) -> State:
        """Return what stands, in comparable form."""
        return state_of(self.stage.observer, self.namespace)

    @property
    def program(self) -> Program:
        """The only program, or the first."""
        return self.programs[0]


@dataclass
class Stage:
    """The control plane and who sees it straight."""

    plane: Plane
    direct: Direct
    observer: Observer
    players: Players
    proxy: Proxy
    folder: Path
    tokens: dict[str, str] = field(default_factory=dict)

    def program(self, name: str, url: str, log: Path, **settings: str) -> Program:
        """Return a controller, not started yet, that reaches the apiserver at this URL."""
        kubeconfig = log.with_suffix(".kubeconfig")
        kubeconfig.write_text(json.dumps(kubeconfig_of(url, self.tokens[name])))
        plant = settings.pop("plant", "")
        environment = {
            **SHORT_WAITS,
            "KUBECONFIG": str(kubeconfig),
            "REMIT_METRICS_PORT": str(free_port()),
            **settings,
        }
        return Program(name, environment, log, plant)

    @asynccontextmanager
    async def world(self, plan: Plan = NOTHING, *, plant: str = "", **settings: str) -> AsyncIterator[World]:
        """A namespace with a controller behind a gate that carries out the plan."""
        namespace = f"plan-{next(NUMBERS)}-{token_hex(3)}"
        body = {"metadata": {"name": namespace}}
        await self.direct.must("POST", "/api/v1/namespaces", body)
        programs: list[Program] = []
        gate = Gate(namespace, lambda: replace(programs, gate), plan)
        async with self.proxy.open(gate) as url:
            log = self.folder / f"{namespace}.log"
            programs.append(self.program("controller", url, log, plant=plant, **settings))
            programs[0].start()
            try:
                yield World(self, namespace, gate, programs)
            finally:
                for program in programs:
                    program.kill()
                await self.clear(namespace)

    async def clear(self, namespace: str) -> None:
        """Send a namespace away: nobody waits for it."""
        await self.direct.send("DELETE", f"/api/v1/namespaces/{namespace}")
        self.observer.forget(namespace)


def replace(programs: list[Program], gate: Gate) -> None:
    """Kill the program and start it anew, as its Deployment would."""
    programs[0].kill()
    gate.listed = 0
    programs[0].start()


def kubeconfig_of(url: str, token: str) -> Object:
    """Return a kubeconfig that speaks at this URL with this token."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "plane", "cluster": {"server": url}}],
        "users": [{"name": "account", "user": {"token": token}}],
        "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "account"}}],
        "current-context": "plane",
    }


@asynccontextmanager
async def stage(plane: Plane, folder: Path) -> AsyncIterator[Stage]:
    """Set the stage: observer and players act until the end."""
    access = from_kubeconfig(plane.kubeconfig)
    async with AsyncExitStack() as stack:
        direct = await stack.enter_async_context(administrator(plane.kubeconfig))
        cluster = await stack.enter_async_context(KubernetesCluster(access))
        observer = Observer(cluster)
        players = Players(direct, observer)
        players.begin()
        proxy = Proxy(Access(access.server, authority=access.authority))  # whoever speaks shows a token
        await proxy.start()
        stack.push_async_callback(proxy.close)
        watching = asyncio.create_task(observer.run())
        try:
            made = Stage(plane, direct, observer, players, proxy, folder)
            accounts = {"controller": "remit-controller", "gateway": "remit-gateway"}
            made.tokens = {name: await direct.token(account) for name, account in accounts.items()}
            yield made
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await asyncio.sleep(CLOSING_SECONDS)
