"""A real apiserver goes, stopped without a word or killed: calls wait, then are refused; runs go on when it is back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from secrets import token_hex

import aiohttp
import pytest
from benchmarks.revocation_trials import Notes, Trials, suspend_grant
from benchmarks.revocation_world import Lane, Run, gateway, kube, witness
from tests.support.guards import until_guards_stand
from tests.support.kube import Kube
from tests.support.polling import eventually_async

from remit.cluster import Cluster


def pid_of(cluster: Cluster) -> int:
    return next(row.pid for row in cluster.status() if row.name == "apiserver" and row.pid)


def woken(cluster: Cluster) -> None:
    os.kill(pid_of(cluster), signal.SIGCONT)


def healed(cluster: Cluster) -> None:
    cluster.up(print)


@asynccontextmanager
async def served(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Trials, Lane, Run]]:
    """A run that is served, by nobody but a gateway."""
    async with kube(kubeconfig) as administrator, aiohttp.ClientSession() as session:
        token = await administrator.account_token("remit-system", "remit-gateway")
        with witness(folder) as (upstream, notes), gateway(folder, kubeconfig, token) as process:
            trials = Trials(administrator, process, Notes(notes), session, Random(1))  # noqa: S311 - of nothing here
            lane = Lane(administrator, f"away-{token_hex(3)}", upstream)
            await lane.furnish()
            yield trials, lane, await lane.new_run()
            await lane.leave()


@pytest.mark.parametrize("away", [(signal.SIGSTOP, woken), (signal.SIGKILL, healed)], ids=["stopped", "killed"])
def test_without_an_apiserver_calls_wait_and_are_refused_and_runs_go_on(
    kube: Kube, cluster: Cluster, tmp_path: Path, away: tuple[signal.Signals, Callable[[Cluster], None]]
) -> None:
    sign, revive = away

    async def story() -> None:
        async with served(kube.kubeconfig, tmp_path) as (trials, lane, run):
            numbers = iter(range(10_000))

            async def said() -> str:
                return await trials.call(run, "away", next(numbers))

            await eventually_async(said, lambda reason: reason == "", within_seconds=30)
            os.kill(pid_of(cluster), sign)
            try:
                await eventually_async(said, lambda reason: reason == "AuthorityStale", within_seconds=60)
                before = len(trials.notes.of("away"))
                assert [await said() for _ in range(2)] == ["AuthorityStale"] * 2
                assert len(trials.notes.of("away")) == before
            finally:
                await asyncio.to_thread(revive, cluster)
            await eventually_async(said, lambda reason: reason == "", within_seconds=60)
            taken = await suspend_grant(lane, run)
            await trials.acknowledged(lane.path("ToolGrant", "tools"), taken["metadata"]["generation"])
            assert await said() == "GrantSuspended"
            await trials.evidence(lane, run)

    asyncio.run(story())
    until_guards_stand(kube)
