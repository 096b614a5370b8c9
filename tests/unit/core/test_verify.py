"""The verifier, rule by rule: an export that a true log vouches for, and whose records still do not add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.evidence_facts import BUNDLE, BUNDLE_DIGEST, call_facts, decision_facts
from tests.support.evidence_runs import HELD, RUN, SPENT, Story, exported, good_story, tree_root
from tests.support.memory_ledger import signer_for_tests

from remit.adapters.signing import ed25519_holds, signer_of
from remit.core.budget import Amount
from remit.core.digest import canonical
from remit.core.evidence import denial_entry, intent_entry, run_end_entry
from remit.core.export import Proof, export_files
from remit.core.merkle import leaf_hash
from remit.core.verify import Report, verify

KEY = signer_for_tests().verifier


def checked(files: dict[str, bytes]) -> Report:
    return verify(files, KEY, ed25519_holds)


def changed(entry: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    statement = json.loads(entry)
    change(statement)
    return canonical(statement)


def test_a_good_run_is_good() -> None:
    report = checked(exported(good_story().entries))
    assert report.fault is None
    assert (report.run, report.uid, report.ended) == ("bank/dispute-run-1", "run-1", "Succeeded")
    assert [line.kind for line in report.lines] == ["bundle", *["intent", "outcome"] * 3, "denial", "run-end"]
    assert [line.decision for line in report.lines] == ["", *["Allow", "ok"] * 3, "Deny", ""]
    assert report.lines[1].tool == "core-banking/post_credit"


def test_a_run_alone_in_its_log_is_good() -> None:
    assert checked(exported(good_story().entries, before=0, between=0)).fault is None


def test_a_run_without_end_is_open_and_without_fault() -> None:
    report = checked(exported(good_story().entries[:-1]))
    assert report.fault is None
    assert report.ended == ""


def recorded_from(story: Story) -> Story:
    """End a run with the word that another did its work."""
    return story.add(
        lambda spot: run_end_entry(
            spot, reason="Succeeded", spent=Amount(), overrun=Amount(), recorded_from="run-of-before"
        )
    )


def test_a_run_whose_work_was_done_before_has_one_record() -> None:
    report = checked(exported(recorded_from(Story()).entries, bundles={}))
    assert report.fault is None
    assert (report.ended, len(report.lines)) == ("Succeeded", 1)


def test_a_run_that_did_something_cannot_say_that_another_did() -> None:
    fault = checked(exported(recorded_from(Story().bundle()).entries)).fault
    assert fault is not None
    assert (fault.record, fault.problem) == (
        1,
        "a run whose work was done before has a record of something else than that",
    )


def test_another_key_is_refused_before_any_record_is_believed() -> None:
    report = verify(exported(good_story().entries), signer_of(KEY.name, bytes(32)).verifier, ed25519_holds)
    assert report.fault is not None
    assert (report.fault.record, report.fault.file, report.lines) == (None, "checkpoint", ())


STORIES: dict[str, tuple[Story, int, str]] = {
    "outcome without intent": (Story().bundle().outcome(0), 1, "no intent 0"),
    "outcome before its intent": (Story().bundle().outcome(2).intent(), 1, "no intent 2"),
    "two outcomes": (Story().bundle().calls(1).outcome(1, "call-0"), 3, "an outcome already"),
    "outcome of another call": (Story().bundle().intent("a").outcome(1, "b"), 2, "another call"),
    "end with an open intent": (Story().bundle().intent().end(), 2, "the intent 1 has no outcome"),
    "record after the end": (Story().bundle().end().intent(), 2, "after the run's end"),
    "two ends": (Story().bundle().end().end(), 2, "after the run's end"),
    "decision before its bundle": (Story().intent(), 0, "brought into force"),
    "intent that was denied": (
        Story().bundle().add(lambda spot: intent_entry(spot, call_facts(), decision_facts("Deny"), HELD)),
        1,
        "cannot rest on Deny",
    ),
    "denial that was allowed": (
        Story().bundle().add(lambda spot: denial_entry(spot, call_facts(), decision_facts())),
        1,
        "cannot rest on Allow",
    ),
    "entry of another run": (Story().bundle().raw(Story("run-2").bundle().intent().entries[1]), 1, "replaced"),
    "not JSON": (Story().bundle().raw(b"{"), 1, "not JSON"),
    "not a statement": (Story().bundle().raw(b"{}"), 1, "not an in-toto statement"),
    "deep JSON": (Story().bundle().raw(b"[" * 60_000), 1, "not JSON"),
    "NaN": (Story().bundle().raw(b'{"a":NaN}'), 1, "not JSON"),
}


@pytest.mark.parametrize("name", STORIES)
def test_records_that_do_not_add_up_are_named(name: str) -> None:
    story, record, problem = STORIES[name]
    report = checked(exported(story.entries))
    assert report.fault is not None
    assert report.fault.record == record
    assert problem in report.fault.problem
    assert len(report.lines) == record


def relabel(statement: dict[str, Any]) -> None:
    statement["predicate"]["run"]["uid"] = "run-9"
    statement["subject"][0]["name"] = statement["subject"][0]["name"].replace("run-1", "run-9")


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "sequence": (lambda s: s["predicate"].update(sequence=5), "number 5, not 2"),
    "previous": (lambda s: s["predicate"].update(previous="00"), "does not follow"),
    "run": (relabel, "another run"),
    "subject": (lambda s: s["subject"][0].update(name="call/run-1/other"), "subject"),
    "two subjects": (lambda s: s["subject"].append(s["subject"][0]), "subject"),
    "kind": (lambda s: s.update(predicateType="https://remit.dev/evidence/else/v1"), "kind else"),
    "version": (lambda s: s.update(predicateType="https://remit.dev/evidence/intent/v2"), "type is not known"),
    "another namespace": (lambda s: s.update(predicateType="https://else.dev/intent/v1"), "type is not known"),
    "statement type": (lambda s: s.update(_type="https://in-toto.io/Statement/v0"), "type is not known"),
    "part missing": (lambda s: s["predicate"].pop("held"), "parts"),
    "part added": (lambda s: s["predicate"].update(records=3), "parts"),
    "part unheard of": (lambda s: s["predicate"].update(note="x"), "in-toto"),
    "wrong type": (lambda s: s["predicate"].update(sequence="2"), "in-toto"),
    "float": (lambda s: s["predicate"].update(sequence=2.5), "in-toto"),
    "bundle that is not there": (
        lambda s: s["predicate"]["decision"].update(liveBundle="sha256:" + "0" * 64),
        "is missing",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_intent_that_is_not_right_is_named(name: str) -> None:
    change, problem = CHANGES[name]
    story = Story().bundle().denial("first")
    intent = Story(entries=list(story.entries), chain=story.chain).intent().entries[-1]
    report = checked(exported(story.raw(changed(intent, change)).entries))
    assert report.fault is not None
    assert report.fault.record == 2
    assert problem in report.fault.problem


def test_a_record_that_is_not_canonical_is_named() -> None:
    story = Story().bundle()
    loose = json.dumps(json.loads(Story().bundle().intent().entries[1])).encode()
    report = checked(exported(story.raw(loose).entries))
    assert report.fault is not None
    assert (report.fault.record, report.fault.problem) == (1, "the record is not canonical JSON")


def test_an_end_that_counts_wrong_is_named() -> None:
    story = Story().bundle()
    end = Story(entries=list(story.entries), chain=story.chain).end().entries[-1]
    report = checked(exported(story.raw(changed(end, lambda s: s["predicate"].update(records=9))).entries))
    assert report.fault is not None
    assert (report.fault.record, report.fault.problem) == (1, "the end counts 9 records, and it is number 1")


def test_an_end_may_carry_a_result() -> None:
    story = Story().bundle()
    story.add(lambda spot: run_end_entry(spot, reason="Failed", spent=SPENT, overrun=Amount(), result_digest="cd" * 32))
    assert checked(exported(story.entries)).ended == "Failed"


def test_the_owner_of_the_agent_may_change_under_way() -> None:
    story = Story().bundle()
    denial = Story(entries=list(story.entries), chain=story.chain).denial().entries[-1]
    moved = changed(denial, lambda s: s["predicate"]["run"].update(owner="cards@bank.example"))
    assert checked(exported(story.raw(moved).entries)).fault is None


def test_a_live_bundle_may_be_missing_where_nothing_compiled() -> None:
    story = Story().bundle()
    denial = Story(entries=list(story.entries), chain=story.chain).denial().entries[-1]
    blind = changed(denial, lambda s: s["predicate"]["decision"].update(liveBundle=""))
    assert checked(exported(story.raw(blind).entries)).fault is None


def test_records_that_stand_in_the_log_the_other_way_round_are_named() -> None:
    first, second = Story().bundle().end().entries
    leaves = [leaf_hash(second), leaf_hash(first)]
    note = signer_for_tests().sign(2, tree_root(leaves))
    records = [(first, Proof(1, (leaves[0],), note)), (second, Proof(0, (leaves[1],), note))]
    assert fault_of(export_files(RUN, note, records, {BUNDLE_DIGEST: BUNDLE})) == (
        1,
        "entries/0001.json",
        "the record stands in the log before the one that it follows here",
    )


def fault_of(files: dict[str, bytes]) -> tuple[int | None, str, str]:
    fault = checked(files).fault
    assert fault is not None
    return fault.record, fault.file, fault.problem


def test_a_file_that_is_no_part_of_an_export_is_named() -> None:
    files = exported(good_story().entries) | {"entries/evil.json": b""}
    assert fault_of(files)[:2] == (None, "entries/evil.json")


@pytest.mark.parametrize("name", ["export.json", "checkpoint"])
def test_a_missing_part_is_named(name: str) -> None:
    files = exported(good_story().entries)
    del files[name]
    assert fault_of(files) == (None, name, "the file is missing")


def test_an_export_without_records_proves_nothing() -> None:
    assert fault_of(exported([], bundles={}))[2] == "there are no records"


def test_a_bundle_that_no_record_names_is_named() -> None:
    files = exported(good_story().entries, bundles={BUNDLE_DIGEST: BUNDLE, "sha256:" + "0" * 64: b"{}"})
    assert fault_of(files)[2] == "no record names this bundle"


def test_an_altered_bundle_is_named_with_the_first_record_that_rests_on_it() -> None:
    files = exported(good_story().entries, bundles={BUNDLE_DIGEST: BUNDLE + b" "})
    assert fault_of(files)[0] == 0
    assert "altered" in fault_of(files)[2]


def test_a_checkpoint_that_is_not_text_is_named() -> None:
    files = exported(good_story().entries) | {"checkpoint": b"\xff"}
    assert fault_of(files) == (None, "checkpoint", "the checkpoint is not text")


def test_a_tail_that_was_cut_is_named_where_it_begins() -> None:
    files = exported(good_story().entries)
    last = len(good_story().entries) - 1
    for name in (f"entries/{last:04}.json", f"proofs/{last:04}.tlog-proof"):
        del files[name]
    record, file, problem = fault_of(files)
    assert (record, file) == (last, "export.json")
    assert "the tail is cut" in problem
