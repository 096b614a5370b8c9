"""Which run did a piece of work first, and what is recorded of another that was to do it again.

Works for the ledger's transactions, as in books.py. INVARIANT: of the runs that do the same piece of work, one has a
record of doing it; every other has none, or one that names that run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from remit.api.evidence import RunFacts
from remit.api.reasons import CallReason
from remit.core.budget import Account, Amount
from remit.core.digest import canonical, sha256_hex
from remit.core.evidence import Chain, Spot, run_end_entry, timestamp
from remit.core.work import is_named, may_be_the_same, unnamed_work
from remit.gateway.call import Refused, Run
from remit.ports import LedgerTransaction, RunRecord

NOTHING: Final = Amount()


def earlier_run(tx: LedgerTransaction, run: Run, work: str) -> RunRecord | None:
    """Return the run that did this piece of work before; a run is not its own."""
    for record in tx.runs_of(work):
        if record.uid != run.uid:
            return record
    for record in tx.runs_of(unnamed_work(run.namespace, run.name)):
        if record.uid != run.uid and may_be_the_same(msgspec.json.decode(record.facts), run.spec):
            return record
    return None


def repeated(earlier: RunRecord) -> Refused:
    """Return the refusal of every call of a run whose work was done before."""
    message = (
        f"run {earlier.uid} did this work before: nothing is done twice; another spec.attempt would be another run"
    )
    return Refused(CallReason.RUN_ALREADY_EXECUTED, message, recorded=False)


def record_copy(tx: LedgerTransaction, run: Run, work: str, now: float) -> RunRecord | None:
    """Record that a run executed nothing because another did its work; None while that one has not ended.

    It is one entry, the run's first and last, which names the other.
    """
    known = tx.run(run.uid)
    if known is not None:
        return known
    earlier = earlier_run(tx, run, work)
    if earlier is None or not earlier.ended:
        return None
    facts = facts_of_copy(run, earlier)
    reason = earlier.outcome_reason
    body = run_end_entry(
        Spot(Chain(), now, facts), reason=reason, spent=NOTHING, overrun=NOTHING, recorded_from=earlier.uid
    )
    record = RunRecord(
        uid=run.uid,
        namespace=run.namespace,
        name=run.name,
        account=Account(opened_at=now),
        sequence=1,
        previous=sha256_hex(body),
        outcome_reason=reason,
        outcome_message=told(earlier),
        ended=True,
        ended_at=now,
        facts=canonical(facts),
        recorded_from=earlier.uid,
    )
    tx.append(run.uid, body)
    tx.put_run(record)
    return record


def told(earlier: RunRecord) -> str:
    """Say of a copy what the other run did."""
    finished = f", finished {timestamp(earlier.ended_at)}" if earlier.ended_at else ""
    return f"recorded: executed by run UID {earlier.uid}{finished}: {earlier.outcome_message}"


def facts_of_copy(run: Run, earlier: RunRecord) -> RunFacts:
    """Return what the copy's entry says of it: the agent was not asked, so it is the earlier run's."""
    facts: RunFacts = msgspec.json.decode(earlier.facts)
    requester = run.spec.requester.to_json() if run.spec.requester is not None else {}
    return {**facts, "uid": run.uid, "requester": requester}


def name_work(tx: LedgerTransaction, uid: str, work: str) -> None:
    """Write down which work a run does that an older ledger kept by its name alone."""
    record = tx.run(uid)
    if record is not None and record.work and not is_named(record.work):
        tx.put_run(replace(record, work=work))
