"""What kubectl shows of one object, as a section of docs/transcripts.md: what differs from day to day is made alike.

REMIT_UPDATE_TRANSCRIPTS=1 writes the sections that a test sees; review the diff.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from remit.api.kinds import KINDS
from remit.cluster import Cluster

PAGE = Path(__file__).resolve().parents[2] / "docs" / "transcripts.md"
SHORT = {kind.name: kind.short for kind in KINDS}
VOLATILE = (
    (re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"), "2026-11-21T12:00:00Z"),
    (
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        "5c3b1a2e-0000-4000-8000-000000000000",
    ),
    (re.compile(r"\bsha256:[0-9a-f]{64}"), "sha256:…"),
    (re.compile(r"\b(teller)-[0-9a-f]{6,}\b"), r"\1-5f2c9a1b"),
    (re.compile(r"\btold-[0-9a-f]{8}\b"), "bank"),
)
SPEC = {
    "AgentRun": (
        "Agent:",
        "Case:",
        "Id:",
        "System:",
        "Deadline Seconds:",
        "Desired:",
        "Purpose:",
        "Requester:",
        "Username:",
    ),
    "Agent": ("Lifecycle:", "Owner:"),
    "ToolGrant": ("Not After:", "Suspended:", "URL:"),
    "Policy": (),
}
"""What of the spec says what it is."""
NOISE = ("Last Transition Time:", "Observed Generation:", "Log Index:", "Log Root:", "Digest:", "Uid:")
REPEATED = ("Message:", "Reason:")
BEGIN = "```\n$ "


@dataclass(frozen=True)
class Told:
    """One section: an object in one state."""

    kind: str
    reason: str
    text: str

    @property
    def heading(self) -> str:
        """Return the section's heading."""
        return heading_of(self.kind, self.reason)


def heading_of(kind: str, reason: str) -> str:
    """Return the heading of the section of a kind's reason."""
    return f"### {kind} {reason}"


def tell(cluster: Cluster, namespace: str, kind: str, name: str, reason: str) -> Told:  # noqa: PLR0917 - an object's address
    """Ask kubectl, as a person would: the row, the status, the events."""
    what = f"{SHORT[kind]}/{name}"
    row = cluster.kubectl("get", what, "-n", namespace)
    described = cluster.kubectl("describe", what, "-n", namespace, "--show-events=false")
    events = cluster.kubectl(
        "get",
        "events",
        "-n",
        namespace,
        "-o",
        "json",
        "--field-selector",
        f"involvedObject.name={name},reason={reason}",
    )
    parts = [
        f"$ kubectl get {what}\n{table(row)}",
        f"$ kubectl describe {what}    # in short\n{spec_of(described, kind)}{status_of(described)}",
        f"$ kubectl events --for {what}    # the last\n{event_of(events, kind)}",
    ]
    return Told(kind, reason, "```\n" + alike("\n\n".join(parts)) + "\n```\n")


def alike(text: str) -> str:
    """Return the text without what differs from one run of the test to the next."""
    for pattern, plain in VOLATILE:
        text = pattern.sub(plain, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def table(text: str) -> str:
    """Return a table with an age that is always the same, and with columns that are as wide as they must be."""
    titles, *rows = [alike(line) for line in text.rstrip("\n").splitlines()]
    starts = [match.start() for match in re.finditer(r"\S+", titles)]
    cut = [[line[begin:end].strip() for begin, end in zip(starts, [*starts[1:], None], strict=True)] for line in rows]
    cells = [titles.split(), *([*row[:-1], "5s"] for row in cut)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(starts))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


def spec_of(described: str, kind: str) -> str:
    """Return the lines of the spec that say what the object is."""
    lines = described[described.index("\nSpec:\n") + 7 : described.index("\nStatus:\n")].splitlines()
    return "\n".join(["Spec:", *(line for line in lines if line.strip().startswith(SPEC[kind])), ""])


def status_of(described: str) -> str:
    """Return the part of `kubectl describe` about the status; the same words are shown once."""
    return "\n".join(kept(described[described.index("\nStatus:\n") + 1 :].splitlines()))


def kept(lines: list[str]) -> Iterator[str]:
    """Yield the lines that say something new."""
    seen: set[str] = set()
    for line in lines:
        word = line.strip()
        if word.startswith(NOISE) or (word.startswith(REPEATED) and word in seen) or word.startswith("Events:"):
            continue
        seen.add(word)
        yield line


def event_of(events: str, kind: str) -> str:
    """Return the Event of the reason as kubectl events shows it, without its age."""
    found = [event for event in json.loads(events)["items"] if event["involvedObject"]["kind"] == kind]
    rows = [(event["type"], event["reason"], event["message"]) for event in found]
    cells = [("TYPE", "REASON", "MESSAGE"), *rows[-1:]] if rows else [("No", "events", "found.")]
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    return "\n".join(f"{row[0].ljust(widths[0])}   {row[1].ljust(widths[1])}   {row[2]}" for row in cells)


def sections(page: str) -> dict[str, str]:
    """Return the page's sections by their headings."""
    parts = re.split(r"^(### .+)$", page, flags=re.MULTILINE)
    return {
        heading: body.split("\n## ")[0].strip("\n") + "\n"
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def hold_against_page(told: Told) -> None:
    """Assert that the page shows just this; write it there when asked to."""
    page = PAGE.read_text()
    shown = sections(page).get(told.heading, "")
    if os.environ.get("REMIT_UPDATE_TRANSCRIPTS") == "1" and shown != told.text:
        assert told.heading in page, f"docs/transcripts.md needs a heading {told.heading}"
        before, _, after = page.partition(told.heading + "\n")
        rest = re.search(r"^##", after, re.MULTILINE)
        PAGE.write_text(
            f"{before}{told.heading}\n\n{told.text}\n{after[rest.start() :] if rest else ''}".rstrip() + "\n"
        )
        return
    assert told.text == shown
