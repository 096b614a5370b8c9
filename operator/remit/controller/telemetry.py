"""The controller's logs, metrics and health. Nothing here takes contents: kinds, reasons, counts and names only."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from typing_extensions import override

LINE_LIMIT = 500
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def configure_logs() -> None:
    """Write every log line to standard output as one JSON object."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(sys.stdout)
    libraries.setFormatter(LibraryLines())
    logging.basicConfig(level=logging.WARNING, handlers=[libraries])


class LibraryLines(logging.Formatter):
    """What libraries have to say, in the same form: bounded, and without tracebacks, which repeat contents."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON object."""
        said = record.getMessage().splitlines() or [""]
        line = {"event": said[0][:LINE_LIMIT], "level": record.levelname.lower(), "logger": record.name}
        return json.dumps(line)


def _dumps(event: Any, **_: Any) -> str:
    return json.dumps(event, default=str)


class Metrics:
    """The controller's metrics; labels come from our own vocabulary, so they stay few."""

    def __init__(self) -> None:
        """Register everything in a registry of its own."""
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "remit_controller_reconciles_total",
            "Reconciles by kind and outcome.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "remit_controller_reconcile_seconds",
            "Seconds of one reconcile.",
            ("kind",),
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.writes = Counter(
            "remit_controller_writes_total", "Writes to the cluster.", ("verb", "kind"), registry=self.registry
        )
        self.finished = Counter(
            "remit_controller_runs_finished_total", "Runs that finished.", ("reason",), registry=self.registry
        )
        self.leads = Gauge("remit_controller_leads", "1 while this replica may write, else 0.", registry=self.registry)
        self.depth = Gauge("remit_controller_queue_depth", "Keys that wait or are worked on.", registry=self.registry)


async def serve(metrics: Metrics, is_ready: Callable[[], bool], *, host: str, port: int) -> web.AppRunner:
    """Serve /healthz (the process lives), /readyz and /metrics; the caller cleans the runner up."""

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readiness(_: web.Request) -> web.Response:
        ready = is_ready()
        return web.Response(text="ok" if ready else "not every kind was listed yet", status=200 if ready else 503)

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), content_type="text/plain")

    app = web.Application()
    app.add_routes([web.get("/healthz", health), web.get("/readyz", readiness), web.get("/metrics", exposition)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
