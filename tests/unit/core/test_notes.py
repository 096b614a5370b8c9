"""Signed notes and checkpoints: the published examples of other implementations, and strict reading."""

from __future__ import annotations

from base64 import b64encode

import pytest
from tests.support.memory_ledger import signer_for_tests

from remit.adapters.signing import ed25519_holds, parse_signing_key, signer_of
from remit.core.notes import (
    MAX_NOTE_CHARACTERS,
    MAX_SIGNATURES,
    Checkpoint,
    NoteError,
    SignatureLine,
    VerifierKey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    signed_note,
)

# The example of Go's golang.org/x/mod/sumdb/note.
GO_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = signer_for_tests()
ROOT = bytes(range(32))
NOTE = SIGNER.sign(42, ROOT)


def opened(note: str) -> Checkpoint:
    return open_checkpoint(note, SIGNER.verifier, ed25519_holds)


def test_go_s_example_key_and_note_are_read_and_made_alike() -> None:
    key = parse_verifier_key(GO_VERIFIER)
    assert key.text() == GO_VERIFIER
    text, lines = parse_note(GO_NOTE)
    assert text == GO_TEXT
    assert (lines[0].name, lines[0].key_id) == (key.name, key.key_id())
    assert ed25519_holds(key.public, lines[0].signature, text.encode())
    signer = parse_signing_key(GO_KEY)
    assert signer.verifier == key
    assert signed_note(text, lines) == GO_NOTE


def test_the_go_checksum_database_s_key_is_read() -> None:
    key = parse_verifier_key("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8\n")
    assert key.name == "sum.golang.org"


def test_a_checkpoint_comes_back_as_it_was_signed() -> None:
    assert opened(NOTE) == Checkpoint("remit.dev/test", 42, ROOT)


def test_lines_of_unknown_keys_are_passed_over() -> None:
    text, lines = parse_note(NOTE)
    witness = SignatureLine("witness.example", b"abcd", b"x" * 72)
    namesake = SignatureLine("remit.dev/test", b"abcd", b"x" * 64)
    assert opened(signed_note(text, (witness, namesake, *lines))).size == 42


def test_a_line_of_the_own_key_that_does_not_hold_refuses_the_note() -> None:
    text, lines = parse_note(NOTE)
    forged = SignatureLine(lines[0].name, lines[0].key_id, bytes(64))
    with pytest.raises(NoteError, match="does not hold"):
        opened(signed_note(text, (*lines, forged)))
    with pytest.raises(NoteError, match="does not hold"):
        opened(signed_note(text, (SignatureLine(lines[0].name, lines[0].key_id, b"short"),)))


def test_a_checkpoint_of_another_key_is_refused() -> None:
    other = signer_of("remit.dev/test", bytes(32)).sign(42, ROOT)
    with pytest.raises(NoteError, match="no signature"):
        opened(other)


def test_a_checkpoint_of_another_origin_under_the_own_key_is_refused() -> None:
    text = Checkpoint("remit.dev/else", 42, ROOT).text()
    line = SignatureLine("remit.dev/test", SIGNER.verifier.key_id(), SIGNER._private.sign(text.encode()))
    with pytest.raises(NoteError, match="of the log"):
        opened(signed_note(text, (line,)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n5\n",
        f"log\n5\n{b64encode(ROOT).decode()}",
        f"log\n5\n{b64encode(ROOT).decode()}\nmore\n",
        f"\n5\n{b64encode(ROOT).decode()}\n",
        f"log\n05\n{b64encode(ROOT).decode()}\n",
        f"log\n+5\n{b64encode(ROOT).decode()}\n",
        f"log\n-5\n{b64encode(ROOT).decode()}\n",
        f"log\n5 \n{b64encode(ROOT).decode()}\n",
        f"log\n\N{ARABIC-INDIC DIGIT FIVE}\n{b64encode(ROOT).decode()}\n",
        f"log\n{'9' * 5000}\n{b64encode(ROOT).decode()}\n",
        f"log\n\n{b64encode(ROOT).decode()}\n",
        f"log\n5\n{b64encode(ROOT[:31]).decode()}\n",
        f"log\n5\n{b64encode(ROOT).decode().rstrip('=')}\n",
        f"log\n5\n{b64encode(ROOT).decode()[:-2]}9=\n",
    ],
)
def test_a_checkpoint_has_exactly_one_spelling(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE + "trailing\n",
        NOTE.replace("—", "-"),
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("— remit.dev/test ", "— remit.dev/test  "),
        NOTE.replace("— remit.dev/test ", "— remit+dev/test "),
        NOTE.replace("— remit.dev/test ", "— "),
        "text\n\n— name AAAA\n",
        "text\n\n— name AA AA\n",
        "text\n\n" + "— name AAAAAAAA\n" * (MAX_SIGNATURES + 1),
        "x" * MAX_NOTE_CHARACTERS + NOTE,
    ],
)
def test_a_note_has_exactly_one_form(note: str) -> None:
    with pytest.raises(NoteError):
        opened(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        GO_VERIFIER + "\n\n",
        GO_VERIFIER.replace("c74f20a3", "c74f20a4"),
        GO_VERIFIER.replace("c74f20a3", "C74F20A3"),
        GO_VERIFIER.replace("Peter", "Pet er"),
        GO_VERIFIER.replace("PeterNeumann", ""),
        VerifierKey("name", bytes(31)).text(),
        GO_VERIFIER.replace("+AR", "+BR"),
    ],
)
def test_a_verifier_key_has_exactly_one_form(text: str) -> None:
    with pytest.raises(NoteError):
        parse_verifier_key(text)
