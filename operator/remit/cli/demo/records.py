"""Reads a run's evidence back as calls: what was asked, what was decided, what came of it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remit.api.evidence import PREDICATE_PREFIX
from remit.cli.demo.stage import BANK, SceneError, Stage
from remit.cli.evidence import EvidenceError, fetch_export


@dataclass(frozen=True, slots=True)
class Call:
    """One governed call. `status` is that of its outcome: ok, error, unknown, or empty while there is none."""

    kind: str
    tool: str
    effect: str
    reason: str
    message: str
    status: str = ""

    def as_expected(self) -> dict[str, str]:
        """Return the call in the words of expect.yaml."""
        return {"tool": self.tool, "decision": self.effect, "reason": self.reason, "status": self.status}


def statements(stage: Stage, run: str) -> list[dict[str, Any]]:
    """Return the statements of a run's evidence, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder, "export")
        try:
            fetch_export(stage.kubeconfig, BANK, run, export, kubectl=stage.kubectl_path)
        except EvidenceError as error:
            raise SceneError(f"no evidence of {run} yet: {error}") from error
        return [json.loads(path.read_bytes()) for path in sorted(export.glob("entries/*.json"))]


def calls_of(stage: Stage, run: str) -> list[Call]:
    """Return the calls that the evidence of a run has, refused ones too."""
    kinds = ("intent", "denial")
    every = [(kind_of(each), each["predicate"]) for each in statements(stage, run)]
    ends = {predicate["intent"]: predicate["status"] for kind, predicate in every if kind == "outcome"}
    return [as_call(predicate, ends) for kind, predicate in every if kind in kinds and "call" in predicate]


def kind_of(statement: dict[str, Any]) -> str:
    """Return an entry's kind: intent, outcome, denial, bundle or run-end."""
    return str(statement["predicateType"]).removeprefix(PREDICATE_PREFIX).partition("/")[0]


def as_call(predicate: dict[str, Any], ends: dict[int, str]) -> Call:
    """Return an intent or a denial as a call."""
    call, decision = predicate["call"], predicate["decision"]
    end = ends.get(predicate["sequence"], "")
    return Call(call["kind"], call["tool"], decision["effect"], decision["reason"], decision["message"], end)
