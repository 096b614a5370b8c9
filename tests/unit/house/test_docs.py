"""What the documents point at exists: files, headings and make targets."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from remit.cli import cluster, images
from remit.cli.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"^([a-z0-9-]+):.*## ", re.MULTILINE)
MAKE = re.compile(r"\bmake ([a-z][a-z0-9-]*)\b")
REMIT = re.compile(r"(?:^|[\s`/])remit ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")
GROUPS = {"cluster": cluster.app, "images": images.app}
FENCE = re.compile(r"```.*?```|`[^`]*`|^ {4}[^\n]*$", re.DOTALL | re.MULTILINE)


def documents() -> list[Path]:
    """Return every document of the tree."""
    folders = (ROOT / name for name in ("docs", "examples", "benchmarks"))
    return sorted([*ROOT.glob("*.md"), *(path for each in folders for path in each.rglob("*.md"))])


def headings(path: Path) -> set[str]:
    """Return the anchors of a document's headings."""
    lines = (line for line in path.read_text().splitlines() if line.startswith("#"))
    words = (re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()) for line in lines)
    return {word.replace(" ", "-") for word in words}


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    dead = []
    for link in LINK.findall(path.read_text()):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in headings(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_make_targets_exist(path: Path) -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    named = {name for code in FENCE.findall(path.read_text()) for name in MAKE.findall(code)}
    assert named <= targets


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(path: Path) -> None:
    named = [call for code in FENCE.findall(path.read_text()) for call in REMIT.findall(code)]
    unknown = {command for command, _ in named if command not in COMMANDS}
    for command, inner in named:
        if command in GROUPS and inner and inner not in getattr(get_command(GROUPS[command]), "commands", {}):
            unknown.add(f"{command} {inner}")
    assert not unknown


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


def test_every_reason_that_a_decision_names_is_a_reason() -> None:
    reasons = (ROOT / "operator" / "remit" / "api" / "reasons.py").read_text()
    text = (ROOT / "docs" / "adr" / "0008-fail-closed.md").read_text()
    named = re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", text)
    assert named
    assert [name for name in named if f'"{name}"' not in reasons] == []
