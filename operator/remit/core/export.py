"""An export: what proves one run, as a handful of text files. Pure.

    export.json               what this is: version, run, number of records
    checkpoint                the signed head of the log
    entries/0000.json ...     the run's records, byte for byte
    proofs/0000.tlog-proof    of each record: its place in the log, the proof, the checkpoint (C2SP tlog-proof)
    bundles/HEX.json          every bundle that a record names
    acknowledgements/0000.json ... and .tlog-proof: which states of objects were enforced from where in the log on

Files are a mapping from these names to bytes: writing and reading directories is the shell's business.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remit.api.evidence import EXPORT_VERSION
from remit.core.digest import canonical
from remit.core.merkle import HASH_BYTES
from remit.core.notes import NoteError, decoded_base64, decoded_number

INDEX = "export.json"
CHECKPOINT = "checkpoint"
FILE_NAME = re.compile(
    r"export\.json|checkpoint|entries/\d{4,9}\.json|proofs/\d{4,9}\.tlog-proof|bundles/[0-9a-f]{64}\.json"
    r"|acknowledgements/\d{4,9}\.(json|tlog-proof)"
)
PROOF_HEAD = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Proof:
    """Where a record stands in the log, the hashes that show it, and under which checkpoint."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    def text(self) -> str:
        """Return the proof in the form of C2SP tlog-proof."""
        hashes = "".join(f"{b64encode(hashed).decode()}\n" for hashed in self.hashes)
        return f"{PROOF_HEAD}\nindex {self.index}\n{hashes}\n{self.checkpoint}"


def parse_proof(text: str) -> Proof:
    """Read a proof that has no extra line; raises NoteError when it is anything else."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 2 or lines[0] != PROOF_HEAD or not lines[1].startswith("index "):  # noqa: PLR2004
        raise NoteError(f"a proof begins with {PROOF_HEAD} and an index")
    hashes = tuple(decoded_base64(line, "hash") for line in lines[2:])
    if any(len(hashed) != HASH_BYTES for hashed in hashes):
        raise NoteError("a hash of the proof is not a SHA-256")
    return Proof(decoded_number(lines[1].removeprefix("index "), "index"), hashes, checkpoint)


def entry_name(number: int) -> str:
    """Name of the file of the run's n-th record."""
    return f"entries/{number:04}.json"


def proof_name(number: int) -> str:
    """Name of the file of its proof."""
    return f"proofs/{number:04}.tlog-proof"


def bundle_name(digest: str) -> str:
    """Name of the file of a bundle (`sha256:HEX`)."""
    return f"bundles/{digest.removeprefix('sha256:')}.json"


def acknowledgement_names(number: int) -> tuple[str, str]:
    """Names of the files of the n-th acknowledgement and its proof."""
    return f"acknowledgements/{number:04}.json", f"acknowledgements/{number:04}.tlog-proof"


def index_file(run: Mapping[str, str], records: int, acknowledgements: int = 0) -> bytes:
    """Return the bytes of export.json; `run` has namespace, name and uid."""
    beside = {"acknowledgements": acknowledgements} if acknowledgements else {}
    return canonical({"version": EXPORT_VERSION, "run": dict(run), "records": records} | beside) + b"\n"


def export_files(
    run: Mapping[str, str],
    checkpoint: str,
    records: Sequence[tuple[bytes, Proof]],
    bundles: Mapping[str, bytes],
    *,
    acknowledgements: Sequence[tuple[bytes, Proof]] = (),
) -> dict[str, bytes]:
    """Return the files of an export."""
    files = {INDEX: index_file(run, len(records), len(acknowledgements)), CHECKPOINT: checkpoint.encode()}
    for number, (entry, proof) in enumerate(acknowledgements):
        name, proven = acknowledgement_names(number)
        files[name], files[proven] = entry, proof.text().encode()
    for number, (entry, proof) in enumerate(records):
        files[entry_name(number)] = entry
        files[proof_name(number)] = proof.text().encode()
    return files | {bundle_name(digest): document for digest, document in bundles.items()}
