"""Another pod for a run whose first one the infrastructure failed: it is served only where nothing was written yet.

Works for the ledger's transactions, as in books.py. INVARIANT: no pod is served a run in which another pod wrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from remit.api.reasons import CallReason
from remit.core.idempotency import only_reads
from remit.gateway.call import Refused
from remit.ports import CallRecord, LedgerTransaction, RunRecord

HARMLESS: Final = "failed"
"""State of a call that certainly had no effect."""


def taken_over(tx: LedgerTransaction, record: RunRecord, pod_uid: str) -> RunRecord | Refused:
    """Return the record of a run that a pod speaks for, or why it is not served to this one."""
    if record.pod_uid == pod_uid or record.ended:
        return record
    if record.pod_uid and (write := first_write(tx.calls(record.uid))) is not None:
        return Refused(CallReason.RUN_NOT_ACTIVE, not_again(write), recorded=False)
    record = replace(record, pod_uid=pod_uid)
    tx.put_run(record)
    return record


def lost_writer(record: RunRecord, calls: Iterable[CallRecord], pod_uid: str) -> str:
    """Say why a run whose pod is this one now, or none, is over: the pod that it had before wrote; else empty."""
    if not record.pod_uid or record.pod_uid == pod_uid:
        return ""
    write = first_write(calls)
    return not_again(write) if write is not None else ""


def first_write(calls: Iterable[CallRecord]) -> CallRecord | None:
    """Return the first call that wrote, or may have."""
    for call in calls:
        if call.state != HARMLESS and not only_reads("model" if call.kind == "model" else "tool", call.risk):
            return call
    return None


def not_again(write: CallRecord) -> str:
    """Say why no other pod is tried."""
    what = f"{write.grant}/{write.tool} (call {write.call_id})"
    return f"its pod was lost after the agent had written by {what}: it is not started again"
