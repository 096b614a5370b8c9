"""Ed25519 for the log's checkpoints. The private key stays inside a `CheckpointSigner`.

The key file holds one line, `PRIVATE+KEY+NAME+KEYID+BASE64`, the form of Go's sumdb/note: name and key belong together.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from remit.core.notes import (
    ED25519,
    Checkpoint,
    NoteError,
    SignatureLine,
    VerifierKey,
    require_key_name,
    signed_note,
)

PREFIX = "PRIVATE+KEY+"
DEFAULT_KEY_NAME = "remit.dev/evidence"


class SigningKeyError(Exception):
    """The signing key cannot be used; the text never holds any of it."""


@dataclass(frozen=True, slots=True)
class CheckpointSigner:
    """Signs the heads of the log that bears the key's name."""

    verifier: VerifierKey
    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, size: int, root: bytes) -> str:
        """Return the signed checkpoint of a tree."""
        text = Checkpoint(self.verifier.name, size, root).text()
        signature = self._private.sign(text.encode())
        line = SignatureLine(self.verifier.name, self.verifier.key_id(), signature)
        return signed_note(text, (line,))


def ed25519_holds(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the signature of the message is by the key."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signer_of(name: str, seed: bytes) -> CheckpointSigner:
    """Return the signer with that name and 32-byte seed."""
    require_key_name(name)
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    return CheckpointSigner(VerifierKey(name, public), private)


def generate_key(name: str = DEFAULT_KEY_NAME) -> tuple[str, str]:
    """Make a key; return the text of its key file and that of its verifier key, one line each."""
    private = Ed25519PrivateKey.generate()
    seed = private.private_bytes_raw()
    verifier = signer_of(name, seed).verifier
    encoded = b64encode(ED25519 + seed).decode()
    key_file = f"{PREFIX}{name}+{verifier.key_id().hex()}+{encoded}\n"
    return key_file, f"{verifier.text()}\n"


def parse_signing_key(text: str) -> CheckpointSigner:
    """Read the text of a key file."""
    try:
        return _parsed(text)
    except ValueError:
        # The cause may quote the key: it is left behind.
        raise SigningKeyError("a signing key has the form PRIVATE+KEY+NAME+KEYID+BASE64") from None


def read_signing_key(path: Path) -> CheckpointSigner:
    """Read a key file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SigningKeyError(f"no signing key can be read at {path}") from None
    return parse_signing_key(text)


def _parsed(text: str) -> CheckpointSigner:
    """Read name, key id and seed."""
    if not text.startswith(PREFIX):
        raise NoteError("this is no private key")
    name, identifier, encoded = text.removeprefix(PREFIX).removesuffix("\n").split("+", 2)
    key = b64decode(encoded, validate=True)
    if key[:1] != ED25519:
        raise NoteError("this is no Ed25519 key")
    signer = signer_of(name, key[1:])
    if signer.verifier.key_id().hex() != identifier:
        raise NoteError("the key id is of another key")
    return signer
