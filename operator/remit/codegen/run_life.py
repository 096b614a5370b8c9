"""Draws and tabulates what becomes of a run, from the controller's own table of transitions. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from remit.api.reasons import FINAL_RUN_REASONS, RunReason
from remit.codegen.docs import with_section
from remit.core.lifecycle import TRANSITIONS, RunEvent

RUN_PAGE = "docs/spec/agentrun.md"
EVENT_WORDS: Final[Mapping[RunEvent, str]] = {
    RunEvent.WAITED: "it has no pod, and waits: for its agent, for a place, for what closes its pod, for the next try",
    RunEvent.READY: "nothing is in the way of its start",
    RunEvent.HELD: "`desired` is Suspended",
    RunEvent.POD_MADE: "its pod is there",
    RunEvent.POD_RAN: "its pod runs",
    RunEvent.POD_ENDED: "its pod ends or has ended; the gateway has its say first",
    RunEvent.TRY_FAILED: "the infrastructure failed its pod, and `retry` allows another one",
    RunEvent.DENIED: "it may not start",
    RunEvent.CANCELLED: "`desired` is Terminated; or Stopped, and the hand-over was made or its time is over",
    RunEvent.DEADLINE_PASSED: "`deadlineSeconds` are over, suspended or not",
    RunEvent.POD_FAILED: "its pod is lost or has ended without a word, and there is no other try",
    RunEvent.SUCCEEDED: "the gateway took its result",
    RunEvent.FAILED: "the agent said that it could not, or had written when its pod was lost",
    RunEvent.VIOLATED: "too many of its calls were refused",
    RunEvent.EXHAUSTED: "a budget is used up",
    RunEvent.REVOKED: "its authority was taken back",
    RunEvent.OUTCOME_LOST: "the answer to a write was lost",
}
_UNDER_WAY: Final = tuple(reason for reason in RunReason if reason not in FINAL_RUN_REASONS)


def with_run_life(page: str) -> str:
    """Return the page of runs with their life drawn, and the whole table below."""
    return with_section(page, "lifecycle", f"{diagram()}\n{table()}")


def diagram() -> str:
    """Return the life as a Mermaid diagram; what leads to the same end from everywhere is drawn once."""
    lines = [f"[*] --> {RunReason.PENDING}", "state UnderWay {", *(f"    {line}" for line in _inner()), "}"]
    lines += [f"UnderWay --> {end}: {', '.join(events)}" for end, events in _ends().items()]
    lines += [f"{end} --> [*]" for end in _ends()]
    return "```mermaid\nstateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines) + "```\n"


def table() -> str:
    """Return what each event makes of each reason under way. A final reason stays, whatever happens."""
    lines = [
        f"| event | when | {' | '.join(f'from `{reason}`' for reason in _UNDER_WAY)} |",
        f"|---|---|{'---|' * len(_UNDER_WAY)}",
    ]
    for event in RunEvent:
        after = (f"`{TRANSITIONS[reason, event]}`" for reason in _UNDER_WAY)
        lines.append(f"| {event} | {EVENT_WORDS[event]} | {' | '.join(after)} |")
    return "\n".join(lines) + "\n"


def _inner() -> Iterator[str]:
    """Yield the changes between reasons under way."""
    changes: defaultdict[tuple[RunReason, RunReason], list[str]] = defaultdict(list)
    for before in _UNDER_WAY:
        for event in RunEvent:
            after = TRANSITIONS[before, event]
            if after in _UNDER_WAY and after is not before:
                changes[before, after].append(str(event))
    yield from (f"{before} --> {after}: {', '.join(events)}" for (before, after), events in changes.items())


def _ends() -> dict[RunReason, list[str]]:
    """Return the events that end a run from anywhere, by its end."""
    ends: defaultdict[RunReason, list[str]] = defaultdict(list)
    for event in RunEvent:
        after = {TRANSITIONS[before, event] for before in _UNDER_WAY}
        if len(after) == 1 and (end := after.pop()) in FINAL_RUN_REASONS:
            ends[end].append(str(event))
    return dict(ends)
