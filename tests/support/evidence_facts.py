"""Facts of made-up runs and calls, for tests of evidence and ledger."""

from __future__ import annotations

from remit.api.evidence import CallFacts, DecisionFacts, RunFacts
from remit.core.budget import Account, Amount
from remit.core.digest import digest_of, sha256_hex
from remit.ports import CallRecord, RunRecord

NOW = 1_790_000_000.25
BUNDLE = b'{"version":"remit.dev/bundle/v1"}'
BUNDLE_DIGEST = digest_of({"version": "remit.dev/bundle/v1"})


def run_facts(uid: str = "run-1") -> RunFacts:
    """A run."""
    return {
        "namespace": "bank",
        "name": f"dispute-{uid}",
        "uid": uid,
        "attempt": 1,
        "agent": "dispute-resolver",
        "agentUID": "agent-uid",
        "owner": "disputes@bank.example",
        "purpose": "dispute-resolution",
        "requester": {"username": "ann", "uid": "u1", "groups": ["disputes", "system:authenticated"]},
        "case": {"id": "CASE-7", "system": "bankdesk", "step": "review"},
    }


def call_facts(identifier: str = "call-1", tool: str = "post_credit") -> CallFacts:
    """A call of a tool."""
    return {
        "id": identifier,
        "kind": "tool",
        "grant": "core-banking",
        "tool": tool,
        "risk": "Financial",
        "argumentsDigest": sha256_hex(identifier.encode()),
        "idempotencyKey": sha256_hex(b"key" + identifier.encode()),
    }


def decision_facts(effect: str = "Allow") -> DecisionFacts:
    """A decision under the one bundle."""
    return {
        "effect": "Allow" if effect == "Allow" else "Deny",
        "reason": "Allowed" if effect == "Allow" else "PolicyDenied",
        "rule": "small-credits",
        "policy": "bank/disputes",
        "message": "",
        "pinnedBundle": BUNDLE_DIGEST,
        "liveBundle": BUNDLE_DIGEST,
    }


def run_record(uid: str = "run-1", *, name: str = "", ended: bool = False, spent: int = 0) -> RunRecord:
    """A run's record."""
    account = Account(opened_at=NOW, spent=Amount(tokens=spent))
    return RunRecord(uid, "bank", name or f"dispute-{uid}", account, ended=ended)


def call_record(key: str, run_uid: str = "run-1", *, state: str = "held", answer: bytes = b"") -> CallRecord:
    """A call's record."""
    return CallRecord(
        key=key,
        run_uid=run_uid,
        state=state,
        arguments_digest="aa",
        intent_sequence=1,
        hold={"tokens": 5},
        kind="tool",
        grant="core-banking",
        tool="post_credit",
        risk="Financial",
        call_id=key,
        answer=answer,
        facts=b'{"a":"\xc3\xa9"}',
    )
