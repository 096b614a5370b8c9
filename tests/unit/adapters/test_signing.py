"""The signing key: made, written, read; never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from remit.adapters.signing import (
    PREFIX,
    SigningKeyError,
    ed25519_holds,
    generate_key,
    parse_signing_key,
    read_signing_key,
    signer_of,
)
from remit.core.notes import NoteError, open_checkpoint, parse_verifier_key

SEED = bytes(range(32))


def test_a_made_key_signs_what_its_verifier_key_opens() -> None:
    signing, verifier = generate_key("bank.example/evidence")
    note = parse_signing_key(signing).sign(3, bytes(32))
    assert open_checkpoint(note, parse_verifier_key(verifier), ed25519_holds).size == 3


def test_two_made_keys_differ() -> None:
    assert generate_key() != generate_key()


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\N{NO-BREAK SPACE}b"])
def test_a_name_that_no_note_could_hold_is_refused(name: str) -> None:
    with pytest.raises(NoteError):
        generate_key(name)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:0],
        lambda text: text.removeprefix(PREFIX),
        lambda text: text.replace("remit.dev", "remit.dex"),
        lambda text: text[:-9] + "\n",
        lambda text: "+B".join(text.rsplit("+A", 1)),
        lambda text: "\n" + text,
    ],
)
def test_a_spoilt_key_is_refused_and_not_quoted(spoil: object) -> None:
    text, _ = generate_key()
    secret = text.split("+", 4)[4].strip()
    with pytest.raises(SigningKeyError) as raised:
        parse_signing_key(spoil(text))  # type: ignore[operator]
    assert secret[2:20] not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError, match="absent"):
        read_signing_key(tmp_path / "absent")


def test_a_key_file_is_read(tmp_path: Path) -> None:
    text, verifier = generate_key()
    (tmp_path / "key").write_text(text)
    assert read_signing_key(tmp_path / "key").verifier.text() == verifier.strip()


def test_a_signer_does_not_show_its_key() -> None:
    assert "rivate" not in repr(signer_of("log", SEED))


def test_a_signature_holds_for_its_message_and_key_only() -> None:
    signer = signer_of("log", SEED)
    signature = signer._private.sign(b"message")
    assert ed25519_holds(signer.verifier.public, signature, b"message")
    assert not ed25519_holds(signer.verifier.public, signature, b"messagf")
    assert not ed25519_holds(signer_of("log", bytes(32)).verifier.public, signature, b"message")
    assert not ed25519_holds(b"short", signature, b"message")
