"""The gateway's Prometheus metrics. Nothing here takes contents or tokens: reasons, counts and names only."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The gateway's metrics. Labels come from our own vocabulary, never from a caller, so they stay few."""

    def __init__(self) -> None:
        """Register everything in a registry of its own."""
        self.registry = CollectorRegistry()
        self._children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self.calls = Counter(
            "remit_gateway_calls_total",
            "Governed calls by kind, risk and reason.",
            ("kind", "risk", "reason"),
            registry=self.registry,
        )
        self.call_seconds = Histogram(
            "remit_gateway_call_seconds",
            "Seconds from a governed call's arrival to its settlement, the upstream's time included.",
            ("kind",),
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge("remit_gateway_calls_in_flight", "Calls under way.", registry=self.registry)
        self.watch_age = Gauge(
            "remit_gateway_watch_age_seconds",
            "Seconds since each watch last proved that it lives.",
            ("kind",),
            registry=self.registry,
        )
        self.runs_ended = Counter(
            "remit_gateway_runs_ended_total", "Runs that ended at the gateway.", ("reason",), registry=self.registry
        )
        self.spent = Counter(
            "remit_gateway_spent_micro_usd_total",
            "Money that ended runs spent, in millionths of a US dollar.",
            registry=self.registry,
        )
        self.overrun = Counter(
            "remit_gateway_overrun_micro_usd_total",
            "The part of it that upstreams charged beyond what was held.",
            registry=self.registry,
        )
        self.fresh = Gauge(
            "remit_gateway_authority_fresh",
            "1 while the view of what is granted is young enough for calls, else 0.",
            registry=self.registry,
        )
        self.status_pending = Gauge(
            "remit_gateway_status_writes_pending", "Status writes not accepted yet.", registry=self.registry
        )

    def count_call(self, kind: str, risk: str, reason: str, seconds: float) -> None:
        """Count one governed call."""
        children = self._children.get((kind, risk, reason))
        if children is None:
            children = self.calls.labels(kind, risk, reason), self.call_seconds.labels(kind)
            self._children[kind, risk, reason] = children
        children[0].inc()
        children[1].observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text form."""
        return generate_latest(self.registry)
