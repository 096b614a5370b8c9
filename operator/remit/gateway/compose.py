"""Puts the gateway's parts together and runs it: recovery, watches, two listeners. Tests bring parts of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from socket import socket
from typing import Final

import structlog
import uvicorn

from remit.adapters.telemetry import Metrics
from remit.gateway.acknowledge import Acknowledger
from remit.gateway.app import App, agent_app, control_app
from remit.gateway.authority import Authority, Engines
from remit.gateway.callers import Callers
from remit.gateway.connections import CONNECTIONS_PER_PEER, bounded
from remit.gateway.ending import Endings
from remit.gateway.flights import Flights
from remit.gateway.gate import Gate
from remit.gateway.links import objection
from remit.gateway.memory import Memory
from remit.gateway.recovery import recover
from remit.gateway.repeats import Repeats
from remit.gateway.settings import Settings
from remit.gateway.status import StatusWriter
from remit.gateway.sweeper import Sweeper
from remit.ports import Clock, Cluster, Identity, Ledger, RemitError, SecretReader, Upstream

SHUTDOWN_SECONDS: Final = 10
KEEP_ALIVE_SECONDS: Final = 75
MAX_CONNECTIONS: Final = 4096

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outside:
    """What the gateway needs of the world."""

    clock: Clock
    cluster: Cluster
    identity: Identity
    ledger: Ledger
    secrets: SecretReader
    upstream: Upstream
    engines: Engines
    verifier_key: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """The whole gateway, ready to run."""

    gate: Gate
    sweeper: Sweeper


def compose(settings: Settings, outside: Outside) -> Gateway:
    """Put the parts together. The order of listeners matters: what is taken back is cut before it is acknowledged."""
    clock, ledger, metrics = outside.clock, outside.ledger, Metrics()
    authority = Authority(
        outside.cluster,
        clock,
        outside.engines,
        install_namespace=settings.install_namespace,
        bound_seconds=settings.authority_bound_seconds,
        resync_seconds=settings.resync_seconds,
    )
    callers = Callers(authority, outside.identity, ledger, check_peer=settings.check_peer)
    flights, memory, status = Flights(), Memory(ledger), StatusWriter(outside.cluster, metrics, authority)
    endings = Endings(
        clock=clock,
        ledger=ledger,
        authority=authority,
        memory=memory,
        flights=flights,
        status=status,
        metrics=metrics,
    )
    gate = Gate(
        settings=settings,
        clock=clock,
        ledger=ledger,
        authority=authority,
        callers=callers,
        secrets=outside.secrets,
        upstream=outside.upstream,
        flights=flights,
        memory=memory,
        endings=endings,
        repeats=Repeats(clock=clock, ledger=ledger, authority=authority, memory=memory, endings=endings, status=status),
        acknowledger=Acknowledger(authority, outside.secrets, status, ledger, flights, clock),
        status=status,
        metrics=metrics,
        verifier_key=outside.verifier_key,
    )
    authority.listen(lambda *_: flights.recheck(lambda call: objection(gate, call)))
    return Gateway(
        gate,
        Sweeper(clock=clock, authority=authority, memory=memory, endings=gate.endings),
    )


class Listener(uvicorn.Server):
    """A server whose signals are ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: two servers in one process would take them from each other."""
        yield


def listener(app: App, settings: Settings, port: int) -> Listener:
    """Return a server of one application: raw ASGI on httptools, nothing in between.

    Peers are told apart where the network keeps their addresses.
    """
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=port,
        http=bounded(CONNECTIONS_PER_PEER if settings.check_peer else MAX_CONNECTIONS),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        limit_concurrency=MAX_CONNECTIONS,
        backlog=1024,
    )
    return Listener(config)


class GatewayFailedError(RemitError):
    """A part of the gateway ended by itself: the process must start anew."""


Sockets = tuple[socket, socket]
"""Listening sockets of the agents' port and of the control port, where they are open already."""


async def serve(gateway: Gateway, stopping: asyncio.Event, sockets: Sockets | None = None) -> None:
    """Run until asked to stop, or until a part fails: then the process ends, and its next start recovers."""
    gate, settings = gateway.gate, gateway.gate.settings
    await recover(gate.ledger, gate.endings, gate.clock)
    gate.endings.end_deleted_soon()
    agents = listener(agent_app(gate), settings, settings.agent_port)
    control = listener(control_app(gate), settings, settings.control_port)
    parts = [
        asyncio.create_task(gate.authority.watch(), name="authority"),
        asyncio.create_task(gate.acknowledger.run(), name="acknowledger"),
        asyncio.create_task(gateway.sweeper.run(), name="sweeper"),
        asyncio.create_task(agents.serve([sockets[0]] if sockets else None), name="agents"),
        asyncio.create_task(control.serve([sockets[1]] if sockets else None), name="control"),
    ]
    log.info("gateway serves", agent_port=settings.agent_port, control_port=settings.control_port)
    waiting = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait([*parts, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            ended = ", ".join(task.get_name() for task in done)
            raise GatewayFailedError(f"a part of the gateway ended: {ended}") from next(iter(done)).exception()
    finally:
        agents.should_exit = control.should_exit = True
        gate.callers.close()
        await asyncio.wait(parts[3:], timeout=SHUTDOWN_SECONDS + 1)
        for task in [*parts, waiting]:
            task.cancel()
        await asyncio.gather(*parts, waiting, return_exceptions=True)
        await gate.repeats.close()
        await gate.endings.close()
        await gate.status.close(within_seconds=1.0)
