"""Runs that are deleted and made again, as GitOps does it: same name and spec, another UID."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.support.fake_authority import (
    NAMESPACE,
    RUN_UID,
    TOKEN,
    FakeCluster,
    Stored,
    a_grant,
    a_model_grant,
    a_pod,
    a_review,
    a_run,
    admit,
)
from tests.support.fake_upstream import FakeUpstream, upstream
from tests.support.gateway_process import ENGINES, Served, a_world, served
from tests.support.memory_ledger import MemoryLedger
from tests.support.polling import eventually_async

from remit.ports import Ledger

COPY_UID = "run-uid-2"
COPY_POD = "pod-uid-2"
GOOD = {"outcome": "Succeeded", "result": {"decision": "credit"}, "stop": "Answered"}


def a_copy(uid: str = COPY_UID, pod: str = COPY_POD, **changes: Any) -> Stored:
    """The run once more; without a pod it is Pending."""
    run = a_run(**changes)
    run["metadata"]["uid"] = uid
    run["status"] = {"reason": "Running", "pod": {"name": "run-1-1", "uid": pod}} if pod else {"reason": "Pending"}
    return run


def delete(cluster: FakeCluster) -> None:
    """Delete the run with its pod, which takes its token along."""
    cluster.remove("AgentRun", "run-1")
    cluster.remove("Pod", "run-1-1")
    del cluster.tokens[TOKEN]


def make_again(cluster: FakeCluster, run: Stored) -> None:
    """Make the run, and its pod where it names one: the token is that pod's from now on."""
    pod = run["status"].get("pod")
    if pod:
        cluster.put(a_pod(uid=pod["uid"]))
        cluster.tokens[TOKEN] = a_review(pod["uid"])
    admit(cluster, ENGINES, run)


async def outcome(world: Served) -> Any:
    """Wait for the gateway's word on the run of that name, and return its whole status."""

    async def look() -> Any:
        return world.cluster.status_of("AgentRun", "run-1")

    return await eventually_async(look, lambda seen: "outcome" in seen, why="the gateway's word")


async def ended(world: Served, uid: str = RUN_UID) -> Any:
    """Wait until the ledger has the end of a run, and return its record."""

    async def look() -> Any:
        return await world.ledger.read(lambda tx: tx.run(uid))

    return await eventually_async(look, lambda seen: seen is not None and seen.ended, why="the run's end")


@contextlib.asynccontextmanager
async def after(ledger: Ledger, bank: FakeUpstream, *runs: Stored) -> AsyncIterator[Served]:
    """Serve a cluster that knows nothing of what was, from the ledger that does."""
    cluster = a_world(a_grant(f"{bank.url}/mcp"), a_model_grant(bank.url))
    delete(cluster)
    for run in runs:
        make_again(cluster, run)
    async with served(cluster, ledger=ledger) as world:
        yield world


@contextlib.asynccontextmanager
async def executed(*, to_the_end: bool = True) -> AsyncIterator[tuple[Served, FakeUpstream, MemoryLedger]]:
    """A run that made one write, and, where it is to, handed in its result."""
    ledger = MemoryLedger()
    async with upstream() as bank:
        cluster = a_world(a_grant(f"{bank.url}/mcp"), a_model_grant(bank.url))
        async with served(cluster, ledger=ledger) as world:
            assert (await world.call("credit", {"amount": 5}, "c1"))["result"]
            if to_the_end:
                await world.post("/run/v1/result", GOOD)
                await outcome(world)
            yield world, bank, ledger


__all__ = ["COPY_POD", "COPY_UID", "GOOD", "NAMESPACE", "a_copy", "after", "delete", "ended", "executed", "make_again"]
