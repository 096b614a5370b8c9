"""Rows of results: what was measured, against which peer and bound, and whether it holds. Pure but for the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from benchmarks.figures import CONTROL_BOUND, PEER_TOLERANCE, Anchor, control_difference, median, spread


class Samples(TypedDict):
    """Every sample that a figure was made from."""

    ours: list[float]
    peer: list[float]
    control: list[float]


class Row(TypedDict):
    """One line of latest.json. `ok` is null where nothing was measured."""

    name: str
    peer: str
    figure: float | None
    peer_figure: float | None
    unit: str
    ratio: float | None
    bound: str
    ok: bool | None
    commit: str
    samples: Samples
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Bound:
    """What must hold: of our figure itself, or of its ratio to the peer's."""

    of: Literal["figure", "ratio"]
    at_most: float

    def text(self, unit: str) -> str:
        """Say the bound as it stands in a row."""
        return f"ratio <= {self.at_most:g}" if self.of == "ratio" else f"figure <= {self.at_most:g} {unit}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The samples of one operation on both sides; the lower figure is the better one."""

    name: str
    peer: str
    unit: str
    bound: Bound
    ours: Sequence[float] = ()
    peers: Sequence[float] = ()
    control: Sequence[float] = ()
    """The peer measured a second time in the same rounds: what it differs by is the machine's noise."""
    anchor: Anchor | None = None
    """What the peer's figure was measured as before; none for a peer that is such a record itself."""
    anchor_figure: float | None = None
    """What is compared with the anchor, where that is not the peer's figure itself."""
    notes: Sequence[str] = field(default_factory=tuple)


def row_of(comparison: Comparison, commit: str) -> Row:
    """Judge a comparison. Without samples of ours it is not measured, and neither good nor bad."""
    figure = median(comparison.ours) if comparison.ours else None
    peer_figure = median(comparison.peers) if comparison.peers else None
    ratio = figure / peer_figure if figure is not None and peer_figure else None
    objections = objections_to(comparison, figure, peer_figure, ratio)
    return {
        "name": comparison.name,
        "peer": comparison.peer,
        "figure": rounded(figure),
        "peer_figure": rounded(peer_figure),
        "unit": comparison.unit,
        "ratio": rounded(ratio),
        "bound": comparison.bound.text(comparison.unit),
        "ok": None if figure is None else not objections,
        "commit": commit,
        "samples": {
            "ours": [float(each) for each in comparison.ours],
            "peer": [float(each) for each in comparison.peers],
            "control": [float(each) for each in comparison.control],
        },
        "notes": [*objections, *spreads(comparison), *comparison.notes],
    }


def objections_to(
    comparison: Comparison, figure: float | None, peer_figure: float | None, ratio: float | None
) -> list[str]:
    """Say why a row is not ok; empty when it is."""
    if figure is None:
        return []
    found = []
    judged = figure if comparison.bound.of == "figure" else ratio
    if judged is None:
        found.append("NOT OK: the peer was not measured, so there is no ratio")
    elif judged > comparison.bound.at_most:
        found.append(f"NOT OK: {comparison.bound.of} {judged:.4g} is above its bound of {comparison.bound.at_most:g}")
    known = comparison.anchor_figure if comparison.anchor_figure is not None else peer_figure
    if comparison.anchor is not None and known is not None and not comparison.anchor.holds(known):
        low, high = comparison.anchor.low, comparison.anchor.high
        found.append(
            f"NOT OK: the peer's {known:.4g} is more than {PEER_TOLERANCE} x off the {low:g} to {high:g} known of it"
        )
    return found


def spreads(comparison: Comparison) -> list[str]:
    """Say how steady the samples are, and what the control says of the machine."""
    said = []
    if comparison.ours and comparison.peers and len(comparison.ours) > 1:
        said.append(f"quartiles apart: ours {spread(comparison.ours):.0%}, peer {spread(comparison.peers):.0%}")
    if comparison.control and comparison.peers:
        noise = control_difference(comparison.peers, comparison.control)
        verdict = "quiet enough" if noise <= CONTROL_BOUND else f"NOISY (above {CONTROL_BOUND:.0%}): measure again"
        said.append(f"control, the peer against itself: {noise:.1%} apart, {verdict}")
    return said


def rounded(value: float | None) -> float | None:
    """Keep four significant digits: no figure here is truer than that."""
    return None if value is None else float(f"{value:.4g}")


def merged(old: Iterable[Row], new: Sequence[Row]) -> list[Row]:
    """Return the old rows with the new ones in the place of those of the same name, in the order of names.

    A row that was not measured takes no measured one's place: that one says itself which commit it is of.
    """
    rows = {row["name"]: row for row in old}
    rows |= {row["name"]: row for row in new if row["ok"] is not None or row["name"] not in rows}
    return [rows[name] for name in sorted(rows)]


def store(path: Path, new: Sequence[Row]) -> None:
    """Put new rows into the file beside those of benchmarks that were not run now."""
    old = json.loads(path.read_text()) if path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(merged(old, new), indent=1) + "\n")


COLUMNS = ("name", "figure", "peer_figure", "unit", "ratio", "bound", "ok", "peer")


def table(rows: Sequence[Row]) -> str:
    """Lay rows out as text, each with its notes below."""
    cells = [[cell(row, column) for column in COLUMNS] for row in rows]
    widths = [max(len(line[index]) for line in [list(COLUMNS), *cells]) for index in range(len(COLUMNS))]
    lines = [laid_out(list(COLUMNS), widths)]
    for row, line in zip(rows, cells, strict=True):
        lines += [laid_out(line, widths), *(f"    {note}" for note in row["notes"])]
    return "\n".join(lines)


def laid_out(line: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line with its cells in their columns."""
    return "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def cell(row: Row, column: str) -> str:
    """Return what one cell says."""
    value = dict(row)[column]
    match value:
        case None:
            return "not measured" if column in {"figure", "ok"} else "-"
        case bool():
            return "ok" if value else "NOT OK"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
