"""What the links work with: the gateway's parts, put together once."""

from __future__ import annotations

from dataclasses import dataclass

from remit.adapters.telemetry import Metrics
from remit.gateway.acknowledge import Acknowledger
from remit.gateway.authority import Authority
from remit.gateway.callers import Callers
from remit.gateway.ending import Endings
from remit.gateway.flights import Flights
from remit.gateway.memory import Memory
from remit.gateway.repeats import Repeats
from remit.gateway.settings import Settings
from remit.gateway.status import StatusWriter
from remit.ports import Clock, Ledger, SecretReader, Upstream


@dataclass(frozen=True, slots=True)
class Gate:
    """The gateway's parts."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    authority: Authority
    callers: Callers
    secrets: SecretReader
    upstream: Upstream
    flights: Flights
    memory: Memory
    endings: Endings
    repeats: Repeats
    acknowledger: Acknowledger
    status: StatusWriter
    metrics: Metrics
    verifier_key: str
    """C2SP verifier key of the log: public."""
