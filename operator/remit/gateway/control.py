"""The control port: what people read that is not in Kubernetes, health and metrics. No sandbox can reach it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

from remit.adapters.evidence_export import export_document
from remit.core.acknowledgements import owner_of
from remit.core.evidence import amount_facts
from remit.gateway.gate import Gate
from remit.gateway.web import Answer, Request, encode
from remit.ports import RunRecord

_RUN_PATH: Final = re.compile(
    r"/control/v1/runs/([a-z0-9.-]{1,253})/([a-z0-9.-]{1,253})(?:@([A-Za-z0-9-]{1,64}))?(/export)?"
)
"""Namespace, name, and the UID of one of the runs of that name: without it, the newest that is no copy."""
UNWELL_SECONDS: Final = 120.0
"""Long after calls were refused for it, so that nothing is under way that a new process would cut."""
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


async def serve_control(gate: Gate, request: Request) -> Answer:
    """GET: one of the control port's documents."""
    if request.method != "GET":
        return error(405, "only GET is answered here")
    if (document := DOCUMENTS.get(request.path)) is not None:
        return document(gate)
    found = _RUN_PATH.fullmatch(request.path)
    if found is None:
        return error(404, "there is no such document")
    record = await run_named(gate, found[1], found[2], found[3] or "")
    if record is None:
        return error(404, f"the ledger knows no run {request.path.removeprefix('/control/v1/runs/')}")
    if found[4] is None:
        return Answer(200, encode(view_of(record)))
    homes = {record.namespace, gate.settings.install_namespace}
    export = await gate.ledger.export(record.uid, [owner_of(home) for home in sorted(homes)])
    return Answer(200, encode(export_document(export)))


async def run_named(gate: Gate, namespace: str, name: str, uid: str) -> RunRecord | None:
    """Return a run of that name: the newest that is no copy of an earlier one, or that with the UID."""
    if not uid:
        return await gate.ledger.find_run(namespace, name)
    record = await gate.ledger.read(lambda tx: tx.run(uid))
    return record if record is not None and (record.namespace, record.name) == (namespace, name) else None


def health(gate: Gate) -> Answer:
    """Say that the process lives: a watch that has been silent for so long, only a new process is sure to mend."""
    ages = gate.authority.age_seconds()
    silent = sorted(kind for kind, age in ages.items() if isfinite(age) and age > UNWELL_SECONDS)
    if silent:
        return Answer(503, encode({"status": "silent", "watches": silent}))
    return Answer(200, b'{"status": "ok"}')


def key(gate: Gate) -> Answer:
    """Return the log's verifier key. Whoever checks evidence takes it from elsewhere, and compares."""
    return Answer(200, encode({"vkey": gate.verifier_key}))


def readiness(gate: Gate) -> Answer:
    """Say whether calls can be served, and if not, why."""
    ages = {kind: round(age, 1) if isfinite(age) else None for kind, age in gate.authority.age_seconds().items()}
    ready = gate.authority.is_fresh()
    return Answer(200 if ready else 503, encode({"ready": ready, "watchAgeSeconds": ages}))


def metrics(gate: Gate) -> Answer:
    """Return the metrics, with the gauges as they are now."""
    for kind, age in gate.authority.age_seconds().items():
        gate.metrics.watch_age.labels(kind).set(age)
    gate.metrics.in_flight.set(len(gate.flights))
    gate.metrics.fresh.set(gate.authority.is_fresh())
    return Answer(200, gate.metrics.exposition(), METRICS_TYPE)


DOCUMENTS: Final[Mapping[str, Callable[[Gate], Answer]]] = {
    "/healthz": health,
    "/readyz": readiness,
    "/metrics": metrics,
    "/control/v1/key": key,
}


def view_of(record: RunRecord) -> dict[str, Any]:
    """Return what the ledger knows of a run, without contents."""
    account = record.account
    return {
        "namespace": record.namespace,
        "name": record.name,
        "uid": record.uid,
        "bundle": record.pinned_bundle,
        "records": record.sequence,
        "step": record.step,
        "modelCalls": record.model_calls,
        "refusedCalls": record.refused_calls,
        "spent": amount_facts(account.spent),
        "held": amount_facts(account.held),
        "overrun": amount_facts(account.overrun),
        "ended": record.ended,
        "reason": record.outcome_reason,
        "message": record.outcome_message,
        "recordedFrom": record.recorded_from,
    }


def error(status: int, message: str) -> Answer:
    """Return an error for a person."""
    return Answer(status, encode({"error": {"message": message}}))
