"""`scale`: 10,000 finished and 500 active runs of 1,000 agents: memory, restart, fairness, what a run costs then."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.controller_cpu import batch
from benchmarks.machine import circumstances, scratch
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError, cpu_seconds
from benchmarks.rows import Bound, Comparison
from benchmarks.setting import Setting, furnished, until
from benchmarks.simulated import (
    SANDBOXES,
    Gateway,
    Kubelet,
    controller_account,
    emptied,
    gateway_account,
    ours,
)
from remit.adapters.access import from_kubeconfig
from remit.adapters.clock import SystemClock
from remit.adapters.cluster import KubernetesCluster
from remit.api.meta import API_VERSION
from remit.api.names import CONTROLLER_FIELD_MANAGER
from remit.api.reasons import RunReason
from remit.core.course import status_of
from remit.core.moments import timestamp

NAMESPACES = 20
AT_ONCE = 32
PLACES = 50
COST_RUNS = 200
MOST_MIB, MOST_RESTART_SECONDS, MOST_GROWTH = 400.0, 60.0, 1.2
WAIT_SECONDS = 900.0
QUIET_SECONDS = 2.0

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is of everything."""

    agents: int = 1000
    few: int = 100
    finished: int = 10_000
    active: int = 500
    cost_runs: int = COST_RUNS


SMALL = Sizes(agents=20, few=10, finished=200, active=60, cost_runs=20)


@dataclass
class Found:
    """What was measured."""

    memory_mib: float = 0.0
    restart_seconds: float = 0.0
    overtaken: int = 0
    cost_of_few: float = 0.0
    cost_of_many: float = 0.0


def measure(options: Options) -> list[Comparison]:
    """Fill a cluster, and look how the controller does."""
    made, folder = furnished(options), scratch("scale")
    disk, sizes = circumstances(folder), SMALL if options.small else Sizes()
    with emptied(made):
        found = asyncio.run(World(made, folder, sizes, options).measured())
    return comparisons(found, sizes, disk)


class World:
    """One cluster with namespaces full of agents and runs."""

    def __init__(self, made: Setting, folder: Path, sizes: Sizes, options: Options) -> None:
        """Fill nothing yet."""
        self.made = made
        self.sizes = sizes
        self.options = options
        self.mark = secrets.token_hex(3)
        account = controller_account(made, folder)
        self.controller = ours(made, account, folder)
        self.admin = KubernetesCluster(from_kubeconfig(made.stage.kubeconfig))
        self.writer = KubernetesCluster(from_kubeconfig(account))
        self.speaking = KubernetesCluster(from_kubeconfig(gateway_account(made, folder)))
        self.namespaces = [f"bench-scale-{self.mark}-{number}" for number in range(min(NAMESPACES, sizes.agents))]

    async def measured(self) -> Found:
        """Do everything in turn."""
        ending = Gateway(self.speaking, API_VERSION, "AgentRun", holding=f"held-{self.mark}")
        played = [asyncio.create_task(each) for each in (Kubelet(self.admin, SANDBOXES).run(), ending.run())]
        try:
            return await self._all(ending)
        finally:
            self.controller.stop()
            for task in played:
                task.cancel()
            await asyncio.gather(*played, return_exceptions=True)
            for cluster in (self.admin, self.writer, self.speaking):
                await cluster.close()
            self.made.stage.kubectl("delete", "namespace", "--wait=false", "--ignore-not-found", *self.namespaces)

    async def _all(self, ending: Gateway) -> Found:
        found = Found()
        await self._settle_in()
        self.controller.start()
        await self._caught_up("the agents are ready")
        await self._finish(self.sizes.few)
        found.cost_of_few = await self._cost(ending, "few")
        await self._finish(self.sizes.finished - self.sizes.few)
        await self._caught_up("the finished runs are seen")
        found.cost_of_many = await self._cost(ending, "many")
        await self._hold(ending)
        found.memory_mib = self.controller.rss_mib()
        found.restart_seconds = await self._restart()
        found.memory_mib = max(found.memory_mib, self.controller.rss_mib())
        self.options.say(f"{found.memory_mib:.0f} MiB; caught up {found.restart_seconds:.1f} s after a restart")
        found.overtaken = await self._line(ending)
        self.options.say(f"a run in line was overtaken by at most {found.overtaken}")
        return found

    async def _restart(self) -> float:
        """Return how long a new process takes until it has nothing left to do."""
        self.controller.stop()
        began = time.monotonic()
        self.controller.start()
        await self._caught_up("the controller caught up after its restart")
        return time.monotonic() - began - QUIET_SECONDS

    async def _settle_in(self) -> None:
        """Make the namespaces and their agents."""
        self.options.say(f"{self.sizes.agents} agents in {len(self.namespaces)} namespaces")
        for name in self.namespaces:
            await self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "benchmark")
            for thing in (grant(name), policy(name, {})):
                await self.admin.create(thing, "benchmark")
        agents = [agent(self._home(number), f"agent-{number}") for number in range(self.sizes.agents)]
        await each(agents, lambda thing: self.admin.create(thing, "benchmark"))

    def _home(self, number: int) -> str:
        return self.namespaces[number % len(self.namespaces)]

    async def _caught_up(self, why: str) -> None:
        """Wait until the controller has listed everything and has nothing to do for a while."""
        await asyncio.to_thread(until, self.controller.is_ready, why, WAIT_SECONDS)
        deadline, quiet_since = time.monotonic() + WAIT_SECONDS, time.monotonic()
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"not within {WAIT_SECONDS:.0f} s: {why}")
            if await asyncio.to_thread(self.controller.metric, "remit_controller_queue_depth") != 0:
                quiet_since = time.monotonic()
            await asyncio.sleep(0.1)

    async def _finish(self, number: int) -> None:
        """Have so many runs that finished long ago."""
        self.options.say(f"{number} finished runs")
        runs = [
            run(self._home(at), f"agent-{at % self.sizes.agents}", f"old-{self.mark}-{number}-{at}")
            for at in range(number)
        ]
        await each(runs, self._finish_one)

    async def _finish_one(self, thing: Object) -> None:
        stored = await self.admin.create(thing, "benchmark")
        status = status_of(
            stored, RunReason.SUCCEEDED, "the agent handed in a result", now=SystemClock().now(), stopping=False
        )
        where = {"name": stored["metadata"]["name"], "namespace": stored["metadata"]["namespace"]}
        told = {"apiVersion": API_VERSION, "kind": "AgentRun", "metadata": where, "status": status}
        await self.writer.apply_status(told, CONTROLLER_FIELD_MANAGER)

    async def _cost(self, ending: Gateway, word: str) -> float:
        """Return the controller's CPU for each of some runs, in milliseconds."""
        count = self.sizes.cost_runs
        runs = [
            run(self._home(at), f"agent-{at % self.sizes.agents}", f"{word}-{self.mark}-{at}")
            for at in range(2 * count)
        ]
        await batch(self.admin, ending, runs[:count])
        before = cpu_seconds(self.controller.pid)
        await batch(self.admin, ending, runs[count:])
        cost = (cpu_seconds(self.controller.pid) - before) * 1000 / count
        self.options.say(f"{cost:.2f} ms of CPU a run with {word} finished ones there")
        return cost

    async def _hold(self, ending: Gateway) -> None:
        """Have runs under way that do not end."""
        self.options.say(f"{self.sizes.active} active runs")
        held = [
            run(self._home(at), f"agent-{at % self.sizes.agents}", f"held-{self.mark}-{at}")
            for at in range(self.sizes.active)
        ]
        await each(held, lambda thing: self.admin.create(thing, "benchmark"))
        names = {thing["metadata"]["name"] for thing in held}
        await asyncio.to_thread(until, lambda: names <= set(ending.started), "all active runs run", WAIT_SECONDS)

    async def _line(self, ending: Gateway) -> int:
        """Send as many runs through few places, and return by how many later ones a run was overtaken at most."""
        home = f"bench-scale-{self.mark}-line"
        self.namespaces.append(home)
        await self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}}, "benchmark")
        for thing in (grant(home), policy(home, {"maxConcurrent": PLACES}), agent(home, "agent-0")):
            await self.admin.create(thing, "benchmark")
        await self._caught_up("the agent of the line is ready")
        names = [f"line-{self.mark}-{at:05}" for at in range(self.sizes.active)]
        for name in names:  # one after the other: their order is that of their creation
            await self.admin.create(run(home, "agent-0", name), "benchmark")
        await asyncio.to_thread(until, lambda: set(names) <= ending.ended, "all went through", WAIT_SECONDS)
        order = [name for name in ending.started if name in set(names)]
        return overtaken(names, order)


def overtaken(created: Sequence[str], started: Sequence[str]) -> int:
    """Return by how many later ones a run was overtaken at most."""
    place = {name: at for at, name in enumerate(created)}
    later = 0
    for at, name in enumerate(started):
        later = max(later, sum(place[other] > place[name] for other in started[:at]))
    return later


async def each(things: Iterable[Object], act: Callable[[Object], Awaitable[object]]) -> None:
    """Do something with everything, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(thing: Object) -> None:
        async with places:
            await act(thing)

    await asyncio.gather(*map(one, things))


def thing_of(kind: str, namespace: str, name: str, spec: Object) -> Object:
    """Return an object of Remit's."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def agent(namespace: str, name: str) -> Object:
    """Return an agent."""
    spec = {
        "owner": "bench@example.com",
        "purposes": ["bench"],
        "lifecycle": "Active",
        "runtime": {"harness": {}},
        "instructions": {"inline": "Do what is asked, and say when it is done."},
        "model": {"grant": "provider", "name": "small"},
    }
    whole = thing_of("Agent", namespace, name, spec)
    whole["metadata"]["labels"] = {"team": "bench"}
    return whole


def grant(namespace: str) -> Object:
    """Return the grant of a model to all agents of a namespace."""
    model = {"name": "small", "inputMicroUSDPerMillionTokens": 1, "outputMicroUSDPerMillionTokens": 1}
    upstream = {"model": {"api": "OpenAI", "baseURL": "http://model.invalid/v1", "models": [model]}}
    spec = {"agents": {"matchLabels": {"team": "bench"}}, "purposes": ["bench"], "upstream": upstream}
    return thing_of("ToolGrant", namespace, "provider", spec)


def policy(namespace: str, runs: Object) -> Object:
    """Return a policy for all agents of a namespace."""
    spec: Object = {
        "agents": {"matchLabels": {"team": "bench"}},
        "rules": [
            {"name": "all", "tools": ["*"], "risks": ["Any"], "when": "true", "effect": "Allow", "message": "all may"}
        ],
        "budgets": [
            {"per": "Run", "costMicroUSD": 1_000_000, "tokens": 1_000_000, "toolCalls": 100, "wallClockSeconds": 3600}
        ],
    }
    return thing_of("Policy", namespace, "rules", spec | ({"runs": runs} if runs else {}))


def run(namespace: str, agent_name: str, name: str) -> Object:
    """Return a run."""
    spec = {
        "agent": agent_name,
        "purpose": "bench",
        "input": {"at": timestamp(SystemClock().now())},
        "ttlSecondsAfterFinished": 0,
    }
    return thing_of("AgentRun", namespace, name, spec)


def comparisons(found: Found, sizes: Sizes, disk: str) -> list[Comparison]:
    """Return the rows."""
    notes = [
        f"{sizes.finished} finished and {sizes.active} active runs, {sizes.agents} agents, on a real apiserver",
        "kubelet and gateway are played by status writes: the controller is what is measured",
        disk,
    ]
    none = "none: a bound"
    return [
        Comparison("scale/memory", none, "MiB", Bound("figure", MOST_MIB), ours=[found.memory_mib], notes=notes),
        Comparison(
            "scale/restart", none, "s", Bound("figure", MOST_RESTART_SECONDS), ours=[found.restart_seconds], notes=notes
        ),
        Comparison(
            "scale/overtaken",
            f"none: a bound; {sizes.active} runs through {PLACES} places",
            "runs",
            Bound("figure", PLACES),
            ours=[found.overtaken],
            notes=["by how many runs that were made later a run in line was overtaken at most", *notes],
        ),
        Comparison(
            "scale/cost",
            f"the same with {sizes.few} finished runs there",
            "ms/run",
            Bound("ratio", MOST_GROWTH),
            ours=[found.cost_of_many],
            peers=[found.cost_of_few],
            notes=["CPU of the controller for a run, from creation to the deletion of its pod", *notes],
        ),
    ]
