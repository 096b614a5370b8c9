"""The controller's metrics and health. Nothing here takes contents: kinds, reasons, counts and names only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


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
        self.watch_age = Gauge(
            "remit_controller_watch_age_seconds",
            "Seconds since each watch last proved that it lives.",
            ("kind",),
            registry=self.registry,
        )
        self.depth = Gauge("remit_controller_queue_depth", "Keys that wait or are worked on.", registry=self.registry)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the process stands, asked for at each request."""

    is_ready: Callable[[], bool]
    silent: Callable[[], Sequence[str]]
    """The kinds whose watch gave no proof of life for too long: only a new process is sure to mend that."""
    ages: Callable[[], Mapping[str, float]]


async def serve(metrics: Metrics, standing: Standing, *, host: str, port: int) -> web.AppRunner:
    """Serve /healthz (no watch is silent), /readyz and /metrics; the caller cleans the runner up."""

    async def health(_: web.Request) -> web.Response:
        silent = ", ".join(standing.silent())
        return web.Response(
            text=f"no word from the watch of {silent}" if silent else "ok", status=503 if silent else 200
        )

    async def readiness(_: web.Request) -> web.Response:
        ready = standing.is_ready()
        return web.Response(text="ok" if ready else "not every kind was listed yet", status=200 if ready else 503)

    async def exposition(_: web.Request) -> web.Response:
        for kind, age in standing.ages().items():
            metrics.watch_age.labels(kind).set(age)
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": METRICS_TYPE})

    app = web.Application()
    app.add_routes([web.get("/healthz", health), web.get("/readyz", readiness), web.get("/metrics", exposition)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
