"""Example 01 on loopback, to be crashed: real bank, model, gateway process and harness; only the cluster is ours.

A gateway dies where it is told to, at a named crash point, and is started again over the same ledger.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from socket import socket
from typing import Any, Self
from urllib.request import urlopen

import uvloop
import yaml
from tests.dataplane.bank.servers import BANK_KEY, EXAMPLE, MODEL_KEY, Bank, Server, start, start_bank
from tests.support.fake_authority import (
    NAMESPACE,
    TOKEN,
    FakeCluster,
    a_pod,
    a_review,
    a_run,
    a_secret,
    admit,
    an_agent,
)
from tests.support.gateway_process import ENGINES, listening, outside_of, read_world, url_of, world_file
from tests.support.memory_ledger import signer_for_tests
from tests.support.polling import eventually

from remit.adapters.crash import arm
from remit.adapters.sqlite_ledger import SqliteLedger
from remit.adapters.upstream import HttpUpstream
from remit.cli.evidence import exported_files
from remit.gateway.compose import compose, serve
from remit.gateway.settings import Settings
from remit.harness.client import GatewayClient
from remit.harness.loop import work

FIRST_ACCOUNT = 900_001
WRITES = ("open_dispute", "issue_provisional_credit", "send_letter")
PURPOSE = "card-dispute"


@dataclass(frozen=True, slots=True)
class Ended:
    """What is left of a run: the gateway's record, the evidence, the traces at the bank, and whether we crashed."""

    view: dict[str, Any]
    files: dict[str, bytes]
    books: dict[str, Any]
    crashed: bool

    @property
    def applied(self) -> list[str]:
        """The writes that had an effect at the bank, in order."""
        return [row["tool"] for row in self.books["writes"] if row["outcome"] == "applied"]


def forkserver() -> Any:
    """Return a context whose processes start with the gateway imported: most of a start is imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@dataclass
class CrashWorld:
    """The bank and the model that all trials share; each trial has an account, a run and a ledger of its own."""

    bank: Bank
    model: Server
    directory: Path
    trials: int = 0
    kills: int = 0
    spawning: Any = field(default_factory=forkserver)

    def trial(self, crash_at: str, meanwhile: Callable[[Path], None] = lambda _: None) -> Ended:
        """Run the example once with a gateway that dies at `crash_at` and comes back.

        While it is dead, `meanwhile` may change the world, which is the file world.json of its folder.
        """
        self.trials += 1
        folder = self.directory / f"trial-{self.trials}"
        folder.mkdir()
        account = FIRST_ACCOUNT + self.trials - 1
        (folder / "world.json").write_text(world_file(self.cluster(account)))
        (folder / "token").write_text(TOKEN)
        with Keeper(self, folder, crash_at, meanwhile) as keeper:
            client = GatewayClient(keeper.url, folder / "token", retry=30)
            try:
                work(client)
            finally:
                client.close()
            return keeper.ended(account)

    def cluster(self, account: int) -> FakeCluster:
        """Return a cluster with the example's objects, their upstreams on loopback, and one run on `account`."""
        cluster = FakeCluster()
        for each in (*self.grants(), *documents("policy.yaml")):
            cluster.put(each)
        agent = an_agent(purposes=[PURPOSE], model={"grant": "provider", "name": "scripted-crash"})
        agent["metadata"]["labels"] = {"team": "disputes"}
        for each in (agent, a_pod(), a_secret(BANK_KEY, "127.0.0.1", "core-banking")):
            cluster.put(each)
        cluster.put(a_secret(MODEL_KEY, "127.0.0.1", "model-provider"))
        cluster.tokens[TOKEN] = a_review()
        order = {
            "account": f"ACC-{account}",
            "transaction_id": f"TXN-{account}",
            "reason": "unauthorized",
            "from": "2026-05-01",
            "to": "2026-05-31",
        }
        run = a_run(purpose=PURPOSE, input=order)
        run["metadata"]["uid"] = f"run-of-{account}"
        admit(cluster, ENGINES, run)
        return cluster

    def grants(self) -> list[dict[str, Any]]:
        """Return the example's grants with their upstreams here."""
        core, provider = documents("grants.yaml")
        core["spec"]["upstream"]["mcp"]["url"] = f"{self.bank.server.origin}/mcp"
        provider["spec"]["upstream"]["model"]["baseURL"] = f"{self.model.origin}/v1"
        return [core, provider]


def documents(name: str) -> list[dict[str, Any]]:
    """Return the objects of one of the example's files."""
    return list(yaml.safe_load_all((EXAMPLE / name).read_text()))


@dataclass
class Keeper:
    """Keeps a gateway running: when it has died where it was told to, the next one is started, and that one stays.

    The listening sockets are ours: a caller who comes while nobody serves waits in their queue.
    """

    world: CrashWorld
    folder: Path
    crash_at: str
    meanwhile: Callable[[Path], None]
    crashed: bool = False
    stopping: bool = False
    process: BaseProcess | None = None

    def __enter__(self) -> Self:
        """Start the gateway that is to die, and watch it."""
        self.sockets = listening(), listening()
        self.start(self.crash_at)
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the gateway that runs."""
        self.stopping = True
        assert self.process is not None
        self.process.kill()
        self.watcher.join()
        for opened in self.sockets:
            opened.close()

    @property
    def url(self) -> str:
        """The agents' port."""
        return url_of(self.sockets[0])

    def start(self, crash_at: str) -> None:
        """Start a gateway over the trial's ledger."""
        self.process = self.world.spawning.Process(target=serve_trial, args=(self.folder, self.sockets, crash_at))
        self.process.start()

    def watch(self) -> None:
        """Start the next one when the first has died."""
        assert self.process is not None
        self.process.join()
        if self.stopping:
            return
        assert self.process.exitcode == -signal.SIGKILL, f"the gateway ended by itself: {self.process.exitcode}"
        self.crashed = True
        self.world.kills += 1
        self.meanwhile(self.folder)
        self.start("")
        self.process.join()

    def ended(self, account: int) -> Ended:
        """Wait until the gateway has closed the run, and return what is left of it."""
        path = f"/control/v1/runs/{NAMESPACE}/run-1"
        view = eventually(lambda: self.control(path), lambda seen: seen["ended"], within_seconds=30, why="the run ends")
        files = exported_files(json.dumps(self.control(f"{path}/export")))
        return Ended(view, files, self.world.bank.contents(f"ACC-{account}"), self.crashed)

    def control(self, path: str) -> dict[str, Any]:
        """GET at the control port."""
        with urlopen(url_of(self.sockets[1]) + path, timeout=10) as answer:  # noqa: S310 (loopback)
            found: dict[str, Any] = json.load(answer)
            return found


def serve_trial(folder: Path, sockets: tuple[socket, socket], crash_at: str) -> None:
    """Serve a trial's world until killed."""
    arm(crash_at)
    with (folder / "log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_forever(folder, sockets))


async def serve_forever(folder: Path, sockets: tuple[socket, socket]) -> None:
    """Compose the production gateway over the trial's world and ledger, and serve."""
    ledger = await SqliteLedger.open(folder / "ledger.sqlite", signer_for_tests())
    gateway = compose(Settings(), outside_of(read_world(folder), ledger, HttpUpstream()))
    await serve(gateway, asyncio.Event(), sockets)


@contextmanager
def crash_world(directory: Path) -> Iterator[CrashWorld]:
    """Start the bank and the model for a campaign."""
    database = directory / "bank.sqlite"
    bank = Bank(start_bank(database, "--generate", "400"), database)
    model = start("model", "--port", "0")
    try:
        yield CrashWorld(bank, model, directory)
    finally:
        bank.server.kill()
        model.kill()
