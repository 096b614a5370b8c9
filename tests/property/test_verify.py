"""Tampering: whatever is done to a good export is found, and the first bad record is named."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.evidence_facts import BUNDLE, BUNDLE_DIGEST
from tests.support.evidence_runs import RUN, exported, good_story
from tests.support.memory_ledger import signer_for_tests

from remit.adapters.signing import ed25519_holds, signer_of
from remit.core.export import entry_name, export_files, index_file, parse_proof, proof_name
from remit.core.verify import Report, verify

KEY = signer_for_tests().verifier
ENTRIES = good_story(calls=5).entries
FILES = exported(ENTRIES)
COUNT = len(ENTRIES)
numbers = st.integers(0, COUNT - 1)
Record = tuple[bytes, bytes]
RECORDS: list[Record] = [(FILES[entry_name(number)], FILES[proof_name(number)]) for number in range(COUNT)]


def checked(files: dict[str, bytes]) -> Report:
    return verify(files, KEY, ed25519_holds)


def put_together(records: Sequence[Record]) -> dict[str, bytes]:
    """Number records anew and write an export.json that agrees with them: the careful forger."""
    proved = [(entry, parse_proof(proof.decode())) for entry, proof in records]
    return export_files(RUN, FILES["checkpoint"].decode(), proved, {BUNDLE_DIGEST: BUNDLE})


def first_bad(files: dict[str, bytes]) -> int | None:
    fault = checked(files).fault
    assert fault is not None, "the forgery was not found"
    return fault.record


def test_the_untouched_export_is_good() -> None:
    assert checked(FILES).fault is None
    assert checked(put_together(RECORDS)) == checked(FILES)


@settings(max_examples=500)
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_any_flipped_bit_is_found_and_its_record_named(data: st.DataObject, name: str) -> None:
    content = bytearray(FILES[name])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    found = first_bad(FILES | {name: bytes(content)})
    if name.startswith(("entries/", "proofs/")):
        assert found == int(name.split("/")[1].split(".", maxsplit=1)[0])
    elif name.startswith("bundles/"):
        assert found == 0
    else:
        assert found in {None, COUNT}  # a count in export.json that says more reads as a cut tail


@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_any_cut_file_is_found(data: st.DataObject, name: str) -> None:
    kept = data.draw(st.integers(0, len(FILES[name]) - 1))
    assert checked(FILES | {name: FILES[name][:kept]}).fault is not None


@given(name=st.sampled_from(sorted(FILES)))
def test_any_missing_file_is_found(name: str) -> None:
    assert checked({kept: content for kept, content in FILES.items() if kept != name}).fault is not None


@given(number=st.integers(0, COUNT - 2))
def test_a_removed_record_is_found_where_it_was(number: int) -> None:
    assert first_bad(put_together(RECORDS[:number] + RECORDS[number + 1 :])) == number


@given(numbers=st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted))
def test_swapped_records_are_found_at_the_first(numbers: list[int]) -> None:
    first, second = numbers
    records = list(RECORDS)
    records[first], records[second] = records[second], records[first]
    assert first_bad(put_together(records)) == first


@given(numbers=st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted))
def test_swapped_contents_under_their_old_proofs_are_found_at_the_first(numbers: list[int]) -> None:
    first, second = numbers
    names = entry_name(first), entry_name(second)
    assert first_bad(FILES | {names[0]: FILES[names[1]], names[1]: FILES[names[0]]}) == first


@given(number=numbers, place=st.integers(0, COUNT))
def test_a_doubled_record_is_found(number: int, place: int) -> None:
    records = list(RECORDS)
    records.insert(place, RECORDS[number])
    found = first_bad(put_together(records))
    assert found is not None
    assert min(number, place) <= found <= max(number, place) + 1


@given(place=st.integers(0, COUNT), content=st.binary(min_size=1, max_size=80))
def test_a_made_up_record_is_found_where_it_stands(place: int, content: bytes) -> None:
    records = list(RECORDS)
    records.insert(place, (content, RECORDS[min(place, COUNT - 1)][1]))
    assert first_bad(put_together(records)) == place


@given(kept=st.integers(1, COUNT - 1))
def test_a_cut_tail_is_never_a_whole_run(kept: int) -> None:
    report = checked(put_together(RECORDS[:kept]))
    assert report.fault is None
    assert report.ended == ""
    assert first_bad(put_together(RECORDS[:kept]) | {"export.json": FILES["export.json"]}) == kept


@given(calls=st.integers(0, 3), seed=st.binary(min_size=32, max_size=32))
def test_a_whole_run_made_up_under_another_key_is_found(calls: int, seed: bytes) -> None:
    assert first_bad(exported(good_story(calls).entries, signer=signer_of(KEY.name, seed))) is None


@given(number=numbers)
def test_a_record_of_a_longer_log_is_not_believed_under_the_old_head(number: int) -> None:
    longer = exported(ENTRIES, before=9)
    assert first_bad(FILES | {proof_name(number): longer[proof_name(number)]}) == number


@given(records=st.integers(0, 10**6), uid=st.sampled_from(["run-1", "run-2"]))
def test_an_index_that_says_something_else_is_found(records: int, uid: str) -> None:
    index = index_file(RUN | {"uid": uid}, records)
    good = json.loads(index) == json.loads(FILES["export.json"])
    assert (checked(FILES | {"export.json": index}).fault is None) == good
