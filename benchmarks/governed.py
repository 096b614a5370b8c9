"""The governed side of `gateway-cpu`: the gateway as it is in production, over a Kubernetes API that is only made up.

Real: both listeners, token and secret adapters with their caches, CEL, JSON Schema, the SQLite ledger on its disk, the
upstream client, recovery, watches, sweeper. Made up: the apiserver behind them.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.estate import Estate, estate
from remit.adapters.cel import CelEngine
from remit.adapters.clock import SystemClock
from remit.adapters.identity import TokenReviewIdentity
from remit.adapters.logs import configure_logs
from remit.adapters.schemas import JsonSchemaEngine
from remit.adapters.secrets import KubernetesSecrets
from remit.adapters.signing import DEFAULT_KEY_NAME, signer_of
from remit.adapters.sqlite_ledger import SqliteLedger
from remit.adapters.upstream import HttpUpstream
from remit.gateway.__main__ import stop_signal, tune
from remit.gateway.authority import Engines
from remit.gateway.compose import Outside, compose, serve
from remit.gateway.settings import Settings

BOOKMARK_SECONDS = 2.0
SEED = bytes(32)


class MadeUpCluster:
    """The Cluster port over an estate that does not change."""

    def __init__(self, objects: Estate) -> None:
        """Serve these objects."""
        self._objects = objects

    async def get(self, _api_version: str, kind: str, _namespace: str, name: str) -> dict[str, Any] | None:
        """Return a Secret; nothing else is asked for."""
        return self._objects.secrets.get(name) if kind == "Secret" else None

    async def list(self, _api_version: str, kind: str, _namespace: str, _selector: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        return self._objects.by_kind.get(kind, [])

    async def apply(self, manifest: Mapping[str, Any], _manager: str) -> dict[str, Any]:
        """Take it, and forget it."""
        return dict(manifest)

    async def create(self, manifest: Mapping[str, Any], _manager: str) -> dict[str, Any]:
        """Answer a TokenReview."""
        return {**manifest, "status": self._objects.review(manifest["spec"]["token"])}

    async def patch(self, _api_version: str, _kind: str, patch: Mapping[str, Any], _manager: str) -> dict[str, Any]:
        """Take it, and forget it."""
        return dict(patch)

    async def delete(self, *_address: str) -> None:
        """Delete nothing."""

    async def apply_status(self, manifest: Mapping[str, Any], _manager: str) -> dict[str, Any]:
        """Take it, and forget it."""
        return dict(manifest)

    async def watch(
        self, _api_version: str, kind: str, _selector: str = ""
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield what there is, then a sign of life from time to time."""
        for stored in self._objects.by_kind.get(kind, []):
            yield "ADDED", stored
        yield "SYNCED", {}
        while True:
            await asyncio.sleep(BOOKMARK_SECONDS)
            yield "BOOKMARK", {}


async def run(given: argparse.Namespace) -> None:
    """Serve until a signal."""
    rules, schemas, clock = CelEngine(), JsonSchemaEngine(), SystemClock()
    cluster = MadeUpCluster(estate(given.example, given.upstream, given.runs, (rules, schemas)))
    settings = Settings(host="127.0.0.1", agent_port=given.port, control_port=given.control_port)
    signer = signer_of(DEFAULT_KEY_NAME, SEED)
    ledger, upstream = await SqliteLedger.open(given.ledger, signer), HttpUpstream()
    try:
        outside = Outside(
            clock=clock,
            cluster=cluster,
            identity=TokenReviewIdentity(cluster, clock),
            ledger=ledger,
            secrets=KubernetesSecrets(cluster, clock, settings.install_namespace),
            upstream=upstream,
            engines=Engines(rules, schemas),
            verifier_key=signer.verifier.text(),
        )
        await serve(compose(settings, outside), stop_signal())
    finally:
        await upstream.close()
        await ledger.close()


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--upstream", required=True, help="HOST:PORT")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    configure_logs()
    tune()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
