"""Starts the gateway process. What is missing is said in one line, before anything is served."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import uvloop

from remit.adapters.access import find_access
from remit.adapters.cel import CelEngine
from remit.adapters.clock import SystemClock
from remit.adapters.cluster import KubernetesCluster
from remit.adapters.identity import TokenReviewIdentity
from remit.adapters.logs import configure_logs
from remit.adapters.schemas import JsonSchemaEngine
from remit.adapters.secrets import KubernetesSecrets
from remit.adapters.signing import SigningKeyError
from remit.adapters.sqlite_ledger import SqliteLedger
from remit.adapters.upstream import HttpUpstream
from remit.gateway.authority import Engines
from remit.gateway.compose import Outside, compose, serve
from remit.gateway.settings import Settings, SettingsError, from_environment
from remit.gateway.signing_key import find_signer, publish
from remit.ports import RemitError

WATCH_SECONDS = 5
"""How often a watch is renewed: that is how a quiet one proves that it lives, well within the bound of 10 s."""


SWITCH_SECONDS = 0.002
"""How long the loop and the threads beside it may keep the interpreter from each other; shorter costs more CPU."""
COLLECT_AFTER = 20_000
"""A call makes hundreds of objects and next to no cycle: looking for one every 700 objects costs a tenth of all CPU."""


async def run(settings: Settings) -> None:
    """Open what the gateway rests on, and serve."""
    signer = find_signer(Path(settings.signing_key_path), Path(settings.ledger_path))
    ledger = await SqliteLedger.open(Path(settings.ledger_path), signer)
    cluster = KubernetesCluster(find_access(os.environ), watch_seconds=WATCH_SECONDS, within=settings.watch_namespace)
    upstream, clock = HttpUpstream(), SystemClock()
    publishing = asyncio.create_task(publish(cluster, settings.install_namespace, signer.verifier.text()))
    try:
        outside = Outside(
            clock=clock,
            cluster=cluster,
            identity=TokenReviewIdentity(cluster, clock),
            ledger=ledger,
            secrets=KubernetesSecrets(cluster, clock, settings.install_namespace),
            upstream=upstream,
            engines=Engines(CelEngine(), JsonSchemaEngine()),
            verifier_key=signer.verifier.text(),
        )
        await serve(compose(settings, outside), stop_signal())
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        await upstream.close()
        await cluster.close()
        await ledger.close()


def stop_signal() -> asyncio.Event:
    """Return what is set when the process is asked to stop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def tune() -> None:
    """Set the interpreter up for two busy threads and for many short-lived objects; what is loaded by now stays."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


def main() -> None:
    """Run the process."""
    configure_logs()
    tune()
    try:
        settings = from_environment(os.environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except (SettingsError, SigningKeyError, RemitError) as error:
        print(f"remit-gateway: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
