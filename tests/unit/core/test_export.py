"""An export's files: names, index and proofs, each with exactly one spelling."""

from __future__ import annotations

import json

import pytest
from tests.support.evidence_runs import RUN, exported, good_story

from remit.core.export import FILE_NAME, PROOF_HEAD, Proof, index_file, parse_proof
from remit.core.notes import NoteError

HASH = "A" * 43 + "="
PROOF = f"{PROOF_HEAD}\nindex 7\n{HASH}\n{HASH}\n\ncheckpoint\n\n- signature\n"


def test_a_proof_comes_back_as_it_was_written() -> None:
    proof = parse_proof(PROOF)
    assert proof == Proof(7, (bytes(32), bytes(32)), "checkpoint\n\n- signature\n")
    assert proof.text() == PROOF
    alone = Proof(0, (), "checkpoint")
    assert parse_proof(alone.text()) == alone


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROOF_HEAD,
        f"{PROOF_HEAD}\n\ncheckpoint",
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("index", "Index"),
        PROOF.replace("index 7", "index 07"),
        PROOF.replace("index 7", "index -7"),
        PROOF.replace("index 7", "index 7 "),
        PROOF.replace("index 7\n", "extra AAAA\nindex 7\n"),
        PROOF.replace(HASH, HASH[:-1], 1),
        PROOF.replace(HASH, "B" * 42 + "B=", 1),
        PROOF.replace(HASH, "AAAA", 1),
        PROOF.replace(HASH + "\n", HASH + "\r\n", 1),
    ],
)
def test_a_proof_has_exactly_one_spelling(text: str) -> None:
    with pytest.raises(NoteError):
        parse_proof(text)


def test_every_file_of_an_export_has_a_known_name_and_is_text() -> None:
    for name, content in exported(good_story().entries).items():
        assert FILE_NAME.fullmatch(name)
        content.decode()


@pytest.mark.parametrize(
    "name",
    [
        *("", "export.json\n", "/etc/passwd", "../export.json", "entries/0000.json/x", "entries/000.json"),
        *("entries/../export.json", "entries/0000.jsonx", "bundles/AB.json", "proofs/0000.json", "key"),
    ],
)
def test_no_other_name_is_one_of_an_export(name: str) -> None:
    assert FILE_NAME.fullmatch(name) is None


def test_the_index_says_what_the_export_is() -> None:
    assert json.loads(index_file(RUN, 3)) == {"version": "remit.dev/evidence-export/v1", "run": RUN, "records": 3}
