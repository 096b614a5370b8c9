"""C2SP signed notes and checkpoints: the log's head as a text that one key or several have signed. Pure.

    remit.dev/evidence            origin: the log's name, and the name of its key
    42                            leaves
    CsUYapGGPo4dkMgIAUqom/Xa...   root, base64
                                  (an empty line)
    — remit.dev/evidence Az3g...  key id and Ed25519 signature, base64

Reading is strict: what two readers could understand differently is refused. Lines of keys that nobody here knows
are passed over, as the specification says, so that witnesses can add theirs. The cryptography is passed in.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

ED25519 = b"\x01"
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 4
MAX_NOTE_CHARACTERS = 100_000
MAX_SIGNATURES = 64
MAX_DIGITS = 19
DASH = "\N{EM DASH} "
FIRST_PRINTABLE = " "

Ed25519Check = Callable[[bytes, bytes, bytes], bool]
"""Tells whether (public key, signature, message) hold together."""


class NoteError(ValueError):
    """A note, checkpoint or key text is not what the specification says; the text names the fault."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named Ed25519 public key."""

    name: str
    public: bytes

    def key_id(self) -> bytes:
        """Return the four bytes that stand before each of the key's signatures."""
        return key_id(self.name, self.public)

    def text(self) -> str:
        """Return the key in the form `NAME+KEYID+BASE64`."""
        return f"{self.name}+{self.key_id().hex()}+{b64encode(ED25519 + self.public).decode()}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One line below a note."""

    name: str
    key_id: bytes
    signature: bytes


def key_id(name: str, public: bytes) -> bytes:
    """Return the key id of an Ed25519 key under a name."""
    return sha256(name.encode() + b"\n" + ED25519 + public).digest()[:KEY_ID_BYTES]


def require_key_name(name: str) -> None:
    """Raise NoteError unless the name can stand in a note."""
    if not name or "+" in name or any(mark.isspace() or mark < FIRST_PRINTABLE for mark in name):
        raise NoteError("a key name is a text without spaces and plus signs")


def parse_verifier_key(text: str) -> VerifierKey:
    """Read `NAME+KEYID+BASE64`; one final newline is allowed, since it comes from a file."""
    parts = text.removesuffix("\n").split("+", 2)
    if len(parts) != 3:  # noqa: PLR2004 - name, id, key
        raise NoteError("a verifier key has the form NAME+KEYID+BASE64")
    name, identifier, encoded = parts
    require_key_name(name)
    key = decoded_base64(encoded, "verifier key")
    if key[:1] != ED25519 or len(key) != 1 + PUBLIC_KEY_BYTES:
        raise NoteError("the verifier key is not an Ed25519 key")
    if identifier != key_id(name, key[1:]).hex():
        raise NoteError("the verifier key does not have the key id that its text says")
    return VerifierKey(name, key[1:])


def signed_note(text: str, signatures: Sequence[SignatureLine]) -> str:
    """Put the signature lines below the text."""
    lines = "".join(f"{DASH}{line.name} {b64encode(line.key_id + line.signature).decode()}\n" for line in signatures)
    return f"{text}\n{lines}"


def parse_note(note: str) -> tuple[str, tuple[SignatureLine, ...]]:
    """Split a note into its text and its signature lines."""
    if len(note) > MAX_NOTE_CHARACTERS:
        raise NoteError("the note is too long")
    if any(mark < FIRST_PRINTABLE and mark != "\n" for mark in note):
        raise NoteError("the note holds a control character")
    text, blank, below = note.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise NoteError("the note does not end in signature lines after an empty line")
    lines = below[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError("the note has too many signature lines")
    return text + "\n", tuple(_signature_line(line) for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text: origin, size and root, nothing more."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:  # noqa: PLR2004 - three lines and the end
        raise NoteError("a checkpoint has exactly three lines")
    origin, size, root = lines[:3]
    if not origin:
        raise NoteError("the checkpoint has no origin")
    leaves = decoded_number(size, "checkpoint's size")
    hashed = decoded_base64(root, "root")
    if len(hashed) != sha256().digest_size:
        raise NoteError("the checkpoint's root is not a SHA-256")
    return Checkpoint(origin, leaves, hashed)


def open_checkpoint(note: str, key: VerifierKey, check: Ed25519Check) -> Checkpoint:
    """Return the checkpoint of a note that `key` has signed; raises NoteError otherwise.

    A line with the key's name and id whose signature does not hold refuses the whole note.
    """
    text, lines = parse_note(note)
    own = [line for line in lines if (line.name, line.key_id) == (key.name, key.key_id())]
    if not own:
        raise NoteError(f"the checkpoint carries no signature of the key {key.name}")
    for line in own:
        if len(line.signature) != SIGNATURE_BYTES or not check(key.public, line.signature, text.encode()):
            raise NoteError(f"the checkpoint's signature of the key {key.name} does not hold")
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != key.name:
        raise NoteError(f"the checkpoint is of the log {checkpoint.origin}, not of {key.name}")
    return checkpoint


def _signature_line(line: str) -> SignatureLine:
    """Read one signature line."""
    if not line.startswith(DASH):
        raise NoteError("a signature line does not begin with a dash")
    name, space, encoded = line.removeprefix(DASH).partition(" ")
    if not space:
        raise NoteError("a signature line does not have a name and a signature")
    require_key_name(name)
    content = decoded_base64(encoded, "signature")
    if len(content) <= KEY_ID_BYTES:
        raise NoteError("a signature is too short")
    return SignatureLine(name, content[:KEY_ID_BYTES], content[KEY_ID_BYTES:])


def decoded_base64(text: str, what: str) -> bytes:
    """Decode base64 that has exactly one spelling."""
    try:
        content = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"the {what} is not base64") from error
    if b64encode(content).decode() != text:
        raise NoteError(f"the {what} is not base64 in its one spelling")
    return content


def decoded_number(text: str, what: str) -> int:
    """Read a decimal number that has exactly one spelling."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS) or text != str(int(text)):
        raise NoteError(f"the {what} is not a plain decimal number")
    return int(text)
