"""Evidence entries: their bytes, their bounds, and what an agent's text may do to them."""

from __future__ import annotations

import json

import pytest
from tests.support.evidence_facts import BUNDLE_DIGEST, NOW, call_facts, decision_facts, run_facts
from tests.support.evidence_runs import Story, good_story

from remit.api.evidence import MAX_ENTRY_BYTES
from remit.core.digest import sha256_hex
from remit.core.evidence import (
    MAX_SHOWN_CHARACTERS,
    Chain,
    EntryTooLargeError,
    Spot,
    bundle_entry,
    bundles_named,
    denial_entry,
    shown,
    timestamp,
)


def test_an_entry_is_an_in_toto_statement_with_final_bytes() -> None:
    entry = bundle_entry(Spot(Chain(4, "ab"), NOW, run_facts()), BUNDLE_DIGEST)
    statement = json.loads(entry)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://remit.dev/evidence/bundle/v1"
    assert statement["subject"] == [
        {"name": f"bundle/{BUNDLE_DIGEST}", "digest": {"sha256": BUNDLE_DIGEST.removeprefix("sha256:")}}
    ]
    assert statement["predicate"] == {
        "sequence": 4,
        "time": "2026-09-21T14:13:20.250Z",
        "previous": "ab",
        "run": run_facts(),
        "bundle": BUNDLE_DIGEST,
    }
    assert entry.startswith(b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"bundle":"sha256:')


def test_the_chain_counts_and_names_the_entry_before() -> None:
    entries = [json.loads(entry)["predicate"] for entry in good_story().entries]
    assert [entry["sequence"] for entry in entries] == list(range(len(entries)))
    raw = good_story().entries
    assert [entry["previous"] for entry in entries] == ["", *[sha256_hex(entry) for entry in raw[:-1]]]
    assert entries[-1]["records"] == len(raw)


def test_no_content_of_a_call_stands_in_an_entry() -> None:
    intent, outcome = Story().bundle().calls(1).entries[1:]
    assert set(json.loads(intent)["predicate"]["call"]) == {
        *("id", "kind", "grant", "tool", "risk", "argumentsDigest", "idempotencyKey")
    }
    assert "result" not in json.loads(outcome)["predicate"]


def test_an_entry_above_the_bound_is_refused() -> None:
    facts = call_facts("x" * MAX_ENTRY_BYTES)
    with pytest.raises(EntryTooLargeError):
        denial_entry(Spot(Chain(), NOW, run_facts()), facts, decision_facts("Deny"))


@pytest.mark.parametrize(
    ("now", "text"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (1_790_000_000.9999, "2026-09-21T14:13:20.999Z")],
)
def test_time_is_rfc_3339_in_utc_with_milliseconds(now: float, text: str) -> None:
    assert timestamp(now) == text


def test_what_an_agent_wrote_is_bounded_and_valid() -> None:
    assert shown("post_credit") == "post_credit"
    assert shown("lone \ud800 surrogate") == "lone ? surrogate"
    long = shown("x" * 10_000)
    assert len(long) <= MAX_SHOWN_CHARACTERS
    assert long.endswith("sha256:" + sha256_hex(b"x" * 10_000))
    assert shown("x" * MAX_SHOWN_CHARACTERS) == "x" * MAX_SHOWN_CHARACTERS


def test_the_bundles_of_an_entry_are_named() -> None:
    bundle, intent, outcome = Story().bundle().calls(1).entries
    assert bundles_named(bundle) == (BUNDLE_DIGEST,)
    assert bundles_named(intent) == (BUNDLE_DIGEST, BUNDLE_DIGEST)
    assert bundles_named(outcome) == ()
