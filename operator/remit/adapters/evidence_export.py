"""The control port's answer to an export: the export's files as one JSON document."""

from __future__ import annotations

import json
from typing import Any

from remit.api.evidence import EXPORT_VERSION
from remit.core.export import Proof, export_files
from remit.ports import RunExport


def export_document(export: RunExport) -> dict[str, Any]:
    """Return `{"version", "files": {name: text}}`. Every file of an export is text, and JSON keeps text exactly.

    A run without any entry has no evidence to export: raises LookupError.
    """
    if not export.entries:
        raise LookupError("the ledger holds no evidence of this run")
    facts = json.loads(export.entries[0].body)["predicate"]["run"]
    run = {name: facts[name] for name in ("namespace", "name", "uid")}
    records = [
        (entry.body, Proof(entry.index, proof, export.checkpoint))
        for entry, proof in zip(export.entries, export.proofs, strict=True)
    ]
    acknowledged = [
        (entry.body, Proof(entry.index, proof, export.checkpoint))
        for entry, proof in zip(export.acknowledgements, export.acknowledgement_proofs, strict=True)
    ]
    files = export_files(run, export.checkpoint, records, export.bundles, acknowledgements=acknowledged)
    return {"version": EXPORT_VERSION, "files": {name: content.decode() for name, content in files.items()}}
