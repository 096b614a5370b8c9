"""Evidence entries: their bytes, their bounds, and what an agent's text may do to them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.support.evidence_facts import BUNDLE_DIGEST, NOW, call_facts, decision_facts, run_facts
from tests.support.evidence_runs import SPENT, Story, exported, good_story
from tests.support.memory_ledger import signer_for_tests

from remit.adapters.signing import ed25519_holds
from remit.api.evidence import MAX_ENTRY_BYTES
from remit.core.digest import sha256_hex
from remit.core.evidence import (
    MAX_SHOWN_CHARACTERS,
    Chain,
    EntryTooLargeError,
    Spot,
    bundle_entry,
    denial_entry,
    recorded_run,
    run_end_entry,
    shown,
    timestamp,
)
from remit.core.statements import bundles_named
from remit.core.verify import verify


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


def test_a_requester_of_very_many_groups_still_fits_into_an_entry() -> None:
    facts = run_facts()
    groups = [f"{number:03}" + "\u1d11e" * 509 for number in range(256)]
    facts["requester"] = {"username": "\x00" * 512, "uid": "u", "groups": groups}
    entry = denial_entry(Spot(Chain(), NOW, facts), call_facts("x" * 256), decision_facts("Deny"))
    requester = json.loads(entry)["predicate"]["run"]["requester"]
    assert requester["groups"] == groups[: len(requester["groups"])]
    assert 0 < len(requester["groups"]) < 256
    assert (requester["groupsCount"], len(requester["groupsDigest"])) == (256, 64)
    story = Story()
    story.add(lambda spot: bundle_entry(replace(spot, run=facts), BUNDLE_DIGEST))
    story.add(lambda spot: run_end_entry(replace(spot, run=facts), reason="Failed", spent=SPENT, overrun=SPENT))
    assert verify(exported(story.entries), signer_for_tests().verifier, ed25519_holds).ended == "Failed"


def test_groups_that_fit_stand_as_they_are() -> None:
    facts = run_facts()
    facts["requester"] = {"username": "ann", "groups": ["g" * 100] * 81}
    assert recorded_run(facts) is facts
    del facts["requester"]["groups"]
    assert recorded_run(facts) is facts


def test_the_bundles_of_an_entry_are_named() -> None:
    bundle, intent, outcome = Story().bundle().calls(1).entries
    assert bundles_named(bundle) == (BUNDLE_DIGEST,)
    assert bundles_named(intent) == (BUNDLE_DIGEST, BUNDLE_DIGEST)
    assert bundles_named(outcome) == ()
