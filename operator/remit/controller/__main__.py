"""The controller process: `python -m remit.controller`. Settings by environment, logs as JSON on standard output."""

from __future__ import annotations

import asyncio
import os
import sys

import kopf
import structlog

from remit.adapters.access import Access, AccessError, find_access
from remit.adapters.cel import CelEngine
from remit.adapters.clock import SystemClock
from remit.adapters.cluster import KubernetesCluster
from remit.adapters.schemas import JsonSchemaEngine
from remit.controller import handlers
from remit.controller.kinds import WATCHED
from remit.controller.reconcile import Controller
from remit.controller.settings import Settings, SettingsError, from_environment
from remit.controller.telemetry import configure_logs, serve
from remit.ports import ClusterError

log = structlog.get_logger()


def main() -> int:
    """Run until told to stop; a wrong setting is said before anything else happens."""
    try:
        settings, access = from_environment(os.environ), find_access(os.environ)
    except (SettingsError, AccessError) as error:
        print(f"remit.controller: {error}", file=sys.stderr)
        return 2
    configure_logs()
    asyncio.run(operate(settings, access))
    return 0


async def operate(settings: Settings, access: Access, *, stop: asyncio.Event | None = None) -> None:
    """Watch, reconcile and serve health until `stop` is set or the process is told to end."""
    registry = kopf.OperatorRegistry()
    async with KubernetesCluster(access) as cluster:
        controller = Controller(cluster, SystemClock(), settings, rules=CelEngine(), schemas=JsonSchemaEngine())
        handlers.register(registry, controller, access)
        runner = await serve(
            controller.metrics, lambda: controller.is_synced, host=settings.host, port=settings.metrics_port
        )
        background = [
            asyncio.create_task(controller.work.run(), name="work"),
            asyncio.create_task(resync(controller, cluster), name="resync"),
        ]
        log.info("started", server=access.server, harness_image=settings.harness_image)
        try:
            await until_served(cluster)
            await kopf.operator(
                registry=registry,
                settings=handlers.settings(),
                clusterwide=True,
                standalone=True,
                stop_flag=stop,
            )
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await runner.cleanup()


async def until_served(cluster: KubernetesCluster) -> None:
    """Wait for the kinds: kopf looks for them once, and would never watch those that are installed later."""
    while True:
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


async def resync(controller: Controller, cluster: KubernetesCluster) -> None:
    """List everything anew now and then: kopf does not tell what was deleted while its watch was away."""
    while True:
        await asyncio.sleep(controller.settings.resync_seconds)
        for watched in WATCHED:
            try:
                things, version = await cluster.list_at(watched.api_version, watched.kind, "", watched.selector)
            except ClusterError as error:
                log.warning("resync failed", kind=watched.kind, why=str(error)[:500])
                continue
            controller.take(watched.kind, things, int(version))


if __name__ == "__main__":
    sys.exit(main())
