"""The controller process: `python -m remit.controller`. Settings by environment, logs as JSON on standard output."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from functools import partial

import structlog
import uvloop

from remit.adapters.access import Access, AccessError, find_access
from remit.adapters.cel import CelEngine
from remit.adapters.clock import SystemClock, random_id
from remit.adapters.cluster import KubernetesCluster
from remit.adapters.logs import configure_logs
from remit.adapters.schemas import JsonSchemaEngine
from remit.controller import handlers
from remit.controller.kinds import WATCHED
from remit.controller.leading import Always, lead
from remit.controller.lease import Fenced, Tenure, Terms
from remit.controller.reconcile import Controller
from remit.controller.settings import Settings, SettingsError, from_environment
from remit.controller.store import Watched
from remit.controller.streams import stream
from remit.controller.telemetry import Standing, serve
from remit.controller.watches import STREAM_SECONDS
from remit.controller.watching import Watching
from remit.ports import ClusterError

FINISH_SECONDS = 10.0
"""How long what is under way has to end when the process is asked to; what is cut short, the next one does."""

log = structlog.get_logger()


def main() -> int:
    """Run until told to stop; a wrong setting is said before anything else happens."""
    try:
        settings, access = from_environment(os.environ), find_access(os.environ)
    except (SettingsError, AccessError) as error:
        print(f"remit.controller: {error}", file=sys.stderr)
        return 2
    configure_logs()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(operate(settings, access))
    return 0


async def operate(settings: Settings, access: Access, *, stop: asyncio.Event | None = None) -> None:
    """Watch, reconcile while this process leads, and serve health until `stop` is set or the process must end."""
    clock, ending = SystemClock(), stop or asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with KubernetesCluster(access, watch_seconds=STREAM_SECONDS, within=settings.watch_namespace) as cluster:
        tenure = claim(cluster, clock, settings)
        writable = cluster if tenure is None else Fenced(cluster, tenure)
        controller = Controller(writable, clock, settings, rules=CelEngine(), schemas=JsonSchemaEngine())
        controller.metrics.leads.set_function(lambda: float(tenure is None or tenure.is_held))
        watches = controller.watches
        standing = Standing(lambda: controller.is_synced, watches.silent, watches.silence_seconds)
        runner = await serve(controller.metrics, standing, host=settings.host, port=settings.metrics_port)
        log.info("started", server=access.server, harness_image=settings.harness_image)
        background: list[asyncio.Task[None]] = []
        try:
            await until_served(cluster, ending)
            background = start_background(controller, cluster, tenure, ending)
            await watch(controller, access, ending)
        finally:
            await controller.work.finish(FINISH_SECONDS)
            await end(background)
            if tenure is not None:
                await tenure.release()
            await runner.cleanup()


def claim(cluster: KubernetesCluster, clock: SystemClock, settings: Settings) -> Tenure | None:
    """Return our claim to the lease; None where none is asked for."""
    if not settings.lease_seconds:
        return None
    identity = settings.identity or f"{socket.gethostname()}-{random_id()}"
    return Tenure(
        cluster, clock, Terms(settings.lease_seconds), identity=identity, namespace=settings.install_namespace
    )


def start_background(
    controller: Controller, cluster: KubernetesCluster, tenure: Tenure | None, ending: asyncio.Event
) -> list[asyncio.Task[None]]:
    """Start all that goes on beside the watches; one that fails ends the process, which is then started anew."""

    async def catch_up() -> None:
        await list_anew(controller, cluster, insist=True)
        controller.look_again()

    duties = [controller.work.run]  # what only the leader does
    going = {
        "leading": lead(tenure or Always(), catch_up, duties),
        "resync": resync(controller, cluster),
        "streams": stream(controller, cluster, SystemClock()),
        **({} if tenure is None else {"lease": tenure.keep()}),
    }
    background = [asyncio.create_task(each, name=name) for name, each in going.items()]
    for task in background:
        task.add_done_callback(lambda _: ending.set())
    return background


async def end(background: list[asyncio.Task[None]]) -> None:
    """Cancel what still goes on; raises what ended before it was asked to."""
    failed = [task for task in background if task.done()]
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    for task in failed:
        task.result()


async def until_served(cluster: KubernetesCluster, ending: asyncio.Event) -> None:
    """Wait for the kinds: kopf looks for them once, and would never watch those that are installed later."""
    while not ending.is_set():
        try:
            absent = [
                watched.kind
                for watched in WATCHED
                if watched.kind not in await cluster.served_kinds(watched.api_version)
            ]
        except ClusterError as error:
            log.warning("the apiserver does not answer yet", why=str(error)[:500])
        else:
            if not absent:
                return
            log.warning("waiting for kinds: are the CRDs installed?", kinds=absent)
        await asyncio.sleep(1)


async def watch(controller: Controller, access: Access, ending: asyncio.Event) -> None:
    """Have kopf watch until asked to end; one that has ended by itself, or has gone deaf, is followed by another."""
    watching = Watching(partial(handlers.operator, controller, access, asyncio.get_running_loop().call_soon_threadsafe))
    try:
        while not ending.is_set():
            if not watching.is_alive or controller.watches.are_deaf:
                await watching.end()
                controller.watches.begin()
                watching.begin()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await ending.wait()
    finally:
        await watching.end()


async def resync(controller: Controller, cluster: KubernetesCluster) -> None:
    """List at once what a watch may have missed, and everything now and then: kopf tells of neither."""
    waited = 0
    while True:
        await asyncio.sleep(1)
        waited += 1
        if waited >= controller.settings.resync_seconds:
            waited = 0
            await list_anew(controller, cluster)
        due = controller.watches.due()
        await asyncio.gather(*(take_list(controller, cluster, watched) for watched in WATCHED if watched.kind in due))


async def list_anew(controller: Controller, cluster: KubernetesCluster, *, insist: bool = False) -> None:
    """List every kind; one that cannot be listed now is left for the next time, unless we insist."""
    waiting = list(WATCHED)
    while waiting:
        answers = await asyncio.gather(*(take_list(controller, cluster, watched) for watched in waiting))
        waiting = [watched for watched, done in zip(waiting, answers, strict=True) if insist and not done]
        if waiting:
            await asyncio.sleep(1)


async def take_list(controller: Controller, cluster: KubernetesCluster, watched: Watched) -> bool:
    """Take in the list of one kind; tell whether it could be had."""
    try:
        things, version = await cluster.list_at(watched.api_version, watched.kind, "", watched.selector)
    except ClusterError as error:
        log.warning("list failed", kind=watched.kind, why=str(error)[:500])
        return False
    controller.take(watched.kind, things, int(version))
    controller.watches.listed(watched.kind)
    return True


if __name__ == "__main__":
    sys.exit(main())
