"""Writes evidence entries: facts in, final canonical bytes out. Pure. Contents are digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from remit.api.evidence import (
    MAX_ENTRY_BYTES,
    STATEMENT_TYPE,
    AmountFacts,
    CallFacts,
    DecisionFacts,
    EntryKind,
    RunFacts,
    View,
    predicate_type,
)
from remit.core.budget import Amount
from remit.core.digest import canonical, sha256_hex
from remit.core.statements import Chain, bundle_subject, call_subject, run_subject

__all__ = [
    "Chain",
    "EntryTooLargeError",
    "OutcomeStatus",
    "Spot",
    "amount_facts",
    "bundle_entry",
    "denial_entry",
    "intent_entry",
    "outcome_entry",
    "recorded_run",
    "run_end_entry",
    "shown",
    "timestamp",
]

MAX_SHOWN_CHARACTERS = 256
"""What an agent wrote (a tool's name, a call's id) stands in an entry up to this length."""

MAX_UTF8_BYTES = 4
MAX_GROUPS_BYTES = 8192
"""A requester's groups stand in each entry up to this; behind it stand their number and digest."""

_encode = msgspec.json.Encoder(order="sorted").encode
"""RFC 8785 for what entries hold: ASCII names, texts and safe integers. It is a tenth of `canonical`, on the path of
every call; a property test compares the two."""

OutcomeStatus = Literal["ok", "error", "unknown"]


class EntryTooLargeError(ValueError):
    """The facts do not fit into one entry of the log."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where and when an entry is made, and for which run."""

    chain: Chain
    now: float
    """Seconds since the epoch."""
    run: RunFacts


def bundle_entry(spot: Spot, digest: str) -> bytes:
    """Say which bundle (`sha256:HEX`) came into force for the run."""
    return _entry(spot, "bundle", bundle_subject(digest), {"bundle": digest})


def intent_entry(spot: Spot, call: CallFacts, decision: DecisionFacts, held: Amount) -> bytes:
    """Say what is about to be done, who allowed it, and what is reserved for it."""
    more = {"call": call, "decision": decision, "held": amount_facts(held)}
    return _entry(spot, "intent", call_subject(spot.run, call), more)


def outcome_entry(
    spot: Spot,
    call: CallFacts,
    *,
    intent: int,
    status: OutcomeStatus,
    reason: str,
    spent: Amount,
    overrun: Amount,
    result_digest: str = "",
    view: View | None = None,
) -> bytes:
    """Say what became of the intent with that sequence, and what it cost. `result_digest` is hex, empty for none.

    `view` is what the call was still allowed under; none for one that was cut or lost.
    """
    more: dict[str, Any] = {
        "call": call,
        "intent": intent,
        "status": status,
        "reason": reason,
        "spent": amount_facts(spent),
        "overrun": amount_facts(overrun),
    }
    if result_digest:
        more["resultDigest"] = result_digest
    if view is not None:
        more["view"] = view
    return _entry(spot, "outcome", call_subject(spot.run, call), more)


def denial_entry(spot: Spot, call: CallFacts, decision: DecisionFacts) -> bytes:
    """Say what was refused, and why."""
    return _entry(spot, "denial", call_subject(spot.run, call), {"call": call, "decision": decision})


def run_end_entry(
    spot: Spot, *, reason: str, spent: Amount, overrun: Amount, result_digest: str = "", recorded_from: str = ""
) -> bytes:
    """Close the run's evidence with the count of its entries, this one included.

    `recorded_from` is the UID of the run that did the work before, empty for a run that did it itself.
    """
    more: dict[str, Any] = {
        "reason": reason,
        "spent": amount_facts(spent),
        "overrun": amount_facts(overrun),
        "records": spot.chain.sequence + 1,
    }
    if result_digest:
        more["resultDigest"] = result_digest
    if recorded_from:
        more["recordedFrom"] = recorded_from
    return _entry(spot, "run-end", run_subject(recorded_run(spot.run)), more)


def amount_facts(amount: Amount) -> AmountFacts:
    """Return an amount as entries write it."""
    return {"tokens": amount.tokens, "toolCalls": amount.tool_calls, "costMicroUSD": amount.cost_micro_usd}


def timestamp(now: float) -> str:
    """Return RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def shown(text: str) -> str:
    """Return an agent's text as an entry may hold it: valid Unicode, and its digest in place of what is too long."""
    valid = text.encode("utf-8", "replace").decode()
    if len(valid) <= MAX_SHOWN_CHARACTERS:
        return valid
    return f"{valid[: MAX_SHOWN_CHARACTERS - 80]}...sha256:{sha256_hex(valid.encode())}"


def recorded_run(run: RunFacts) -> RunFacts:
    """Return the facts of a run as entries hold them: a requester of very many groups is cut short."""
    groups: list[str] = run["requester"].get("groups", [])
    if sum(len(group) for group in groups) * MAX_UTF8_BYTES <= MAX_GROUPS_BYTES:
        return run
    kept, room = [], MAX_GROUPS_BYTES
    for group in groups:
        room -= len(group.encode())
        if room < 0:
            break
        kept.append(group)
    if len(kept) == len(groups):
        return run
    more = {"groups": kept, "groupsCount": len(groups), "groupsDigest": sha256_hex(canonical(groups))}
    return {**run, "requester": {**run["requester"], **more}}


def _entry(spot: Spot, kind: EntryKind, subject: Mapping[str, Any], more: Mapping[str, Any]) -> bytes:
    """Put the parts together; the bytes are final."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [subject],
        "predicateType": predicate_type(kind),
        "predicate": {
            "sequence": spot.chain.sequence,
            "time": timestamp(spot.now),
            "previous": spot.chain.previous,
            "run": recorded_run(spot.run),
            **more,
        },
    }
    entry = _encode(statement)
    if len(entry) > MAX_ENTRY_BYTES:
        raise EntryTooLargeError(f"an entry of {len(entry)} bytes is above the bound of {MAX_ENTRY_BYTES}")
    return entry
