"""`controller-cpu`: CPU of the controller for each run, beside idiomatic kopf and a bare loop with the same steps."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import circumstances, scratch
from benchmarks.options import Options
from benchmarks.processes import cpu_seconds
from benchmarks.rivals import work
from benchmarks.rows import Bound, Comparison
from benchmarks.setting import BARE, PAYMENTS, Setting, agent_run, furnished, until
from benchmarks.simulated import (
    SANDBOXES,
    WORKS,
    Gateway,
    Kubelet,
    Process,
    controller_account,
    emptied,
    gateway_account,
    ours,
)
from remit.adapters.access import from_kubeconfig
from remit.adapters.cluster import KubernetesCluster
from remit.api.meta import API_VERSION

ROUNDS = 3
RUNS_PER_ROUND, FEW_RUNS = 200, 20
WARM_UP = 20
AT_ONCE = 16
SETTLE_SECONDS = 2.0
MOST_OF_KOPF, MOST_OF_BARE = 0.25, 4.0
WAIT_SECONDS = 300.0

Make = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Side:
    """One controller, the kind that it looks after, and who ends what it began."""

    process: Process
    api_version: str
    kind: str
    selector: str
    gateway: Path
    make: Make


def measure(options: Options) -> list[Comparison]:
    """Measure the three in turn, each alone, on a cluster where nothing runs."""
    made, folder = furnished(options), scratch("controller-cpu")
    disk, number = circumstances(folder), FEW_RUNS if options.small else RUNS_PER_ROUND
    made.stage.apply([work.crd()])
    made.stage.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/works.{work.GROUP}")
    found: dict[str, list[float]] = {"ours": [], "kopf": [], "bare": [], "bare again": []}
    with emptied(made):
        for _ in range(options.rounds_or(ROUNDS)):
            for name, side in sides(made, folder).items():
                found[name].append(asyncio.run(milliseconds_per_run(made, side, number)))
                options.say(f"{name}: {found[name][-1]:.2f} ms of CPU a run")
    return comparisons(found, disk, number)


def sides(made: Setting, folder: Path) -> dict[str, Side]:
    """Return who is measured in a round."""
    account, gateway, mark = controller_account(made, folder), gateway_account(made, folder), secrets.token_hex(3)
    admin = made.stage.kubeconfig

    def rival(module: str, short: str) -> Side:
        process = Process(f"benchmarks.rivals.{module}", folder / f"{module}.log", {"KUBECONFIG": str(admin)})
        return Side(
            process, work.API_VERSION, "Work", WORKS, admin, lambda at: work.work(f"cpu-{short}-{mark}-{at}", BARE)
        )

    def run(at: int) -> dict[str, Any]:
        made_run = agent_run(f"cpu-{mark}-{at}", PAYMENTS[0])
        made_run["spec"]["ttlSecondsAfterFinished"] = 0
        return made_run

    return {
        "ours": Side(ours(made, account, folder), API_VERSION, "AgentRun", SANDBOXES, gateway, run),
        "kopf": rival("kopf_operator", "kopf"),
        "bare": rival("bare_loop", "bare"),
        "bare again": rival("bare_loop", "again"),
    }


async def milliseconds_per_run(made: Setting, side: Side, number: int) -> float:
    """Return the CPU that one side uses for each of so many runs, from creation to the pod's end."""
    async with (
        KubernetesCluster(from_kubeconfig(made.stage.kubeconfig)) as cluster,
        KubernetesCluster(from_kubeconfig(side.gateway)) as speaking,
    ):
        kubelet, gateway = Kubelet(cluster, side.selector), Gateway(speaking, side.api_version, side.kind)
        played = [asyncio.create_task(each) for each in (kubelet.run(), gateway.run())]
        side.process.start()
        try:
            if side.kind == "AgentRun":
                await asyncio.to_thread(until, side.process.is_ready, "our controller watches")
            await batch(cluster, gateway, [side.make(at) for at in range(WARM_UP)])
            before = cpu_seconds(side.process.pid)
            await batch(cluster, gateway, [side.make(WARM_UP + at) for at in range(number)])
            return (cpu_seconds(side.process.pid) - before) * 1000 / number
        finally:
            side.process.stop()
            for task in played:
                task.cancel()
            await asyncio.gather(*played, return_exceptions=True)


async def batch(cluster: KubernetesCluster, gateway: Gateway, runs: Sequence[dict[str, Any]]) -> None:
    """Create runs, a few at a time, wait until all have ended, and let what they leave be tidied."""
    places = asyncio.Semaphore(AT_ONCE)

    async def create(run: dict[str, Any]) -> None:
        async with places:
            await cluster.create(run, "benchmark")

    await asyncio.gather(*map(create, runs))
    names = {run["metadata"]["name"] for run in runs}
    await gateway.until_ended(names, WAIT_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)


def comparisons(found: dict[str, list[float]], disk: str, number: int) -> list[Comparison]:
    """Lay the three beside each other."""
    notes = [
        f"{number} runs, {AT_ONCE} created at a time; pods run and runs end by status writes: nothing really runs",
        "user and system time of the controller's process, from creation to the deletion of the pod",
        "ours and kopf's: review, a look at the network policies of others, pod, three statuses, Events, the pod's end",
        "ours besides: compiles and pins a bundle, protects the pod, writes conditions; kopf's besides: its own notes",
        "ours and the bare loop write by our client, kopf's handlers by the official one, as its tutorial has it",
        "the bare loop: the pod, three statuses and the pod's end, and nothing else",
        disk,
    ]
    rows = (
        (
            "kopf",
            "kopf 1.45 with on.create, on.field, timer and on.delete handlers, each of which keeps state",
            MOST_OF_KOPF,
            found["kopf"],
            (),
        ),
        (
            "bare-loop",
            "two watches in asyncio and a write for each step",
            MOST_OF_BARE,
            found["bare"],
            found["bare again"],
        ),
    )
    return [
        Comparison(
            name=f"controller-cpu/{name}",
            peer=peer,
            unit="ms/run",
            bound=Bound("ratio", most),
            ours=found["ours"],
            peers=peers,
            control=control,
            notes=notes,
        )
        for name, peer, most, peers, control in rows
    ]
