"""Reads the dialogue files and picks the next turn; their format is in the example's README."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from model.conversation import Call, Conversation, Returned, same_tool

SLOT = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")


class DialogueError(Exception):
    """A dialogue file is wrong, or asks for a value that the conversation does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What must be true for a turn to be taken; what is left out is not asked."""

    turns: int | None = None
    turns_below: int | None = None
    last_tool: str | None = None
    last_result: Literal["ok", "error"] | None = None
    last_result_contains: str | None = None
    last_user_contains: str | None = None

    def holds(self, talk: Conversation) -> bool:
        """Tell whether all that is asked is true."""
        last = talk.results[-1] if talk.results else Returned("", "")
        outcome = "error" if last.is_error else "ok"
        return all(
            (
                self.turns in (None, talk.turns),
                self.turns_below is None or talk.turns < self.turns_below,
                self.last_tool is None or same_tool(last.tool, self.last_tool),
                self.last_result is None or (bool(talk.results) and self.last_result == outcome),
                self.last_result_contains is None or self.last_result_contains in last.text,
                self.last_user_contains is None or self.last_user_contains in talk.last_request.lower(),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing that the model may do next."""

    when: When
    say: str = ""
    repeat: int = 1
    call: tuple[Mapping[str, Any], ...] = ()
    finish: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A scripted model: its turns in order, the first that fits is taken."""

    model: str
    about: str
    turns: tuple[Turn, ...]
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says next."""

    text: str
    calls: tuple[Call, ...] = ()
    seconds: float = 0.0


def load(folder: Path) -> dict[str, Dialogue]:
    """Read every dialogue of a folder by its model's name; raises DialogueError."""
    sources = {path: yaml.safe_load(path.read_text("utf-8")) for path in sorted(folder.glob("*.yaml"))}
    by_model = {source["model"]: source for source in sources.values()}
    found = {}
    for path, source in sources.items():
        shared = by_model.get(source.get("same_as"), {})
        try:
            found[source["model"]] = _dialogue({**shared, **source})
        except (TypeError, KeyError) as error:
            raise DialogueError(f"{path.name}: {error}") from error
    return found


def _dialogue(source: dict[str, Any]) -> Dialogue:
    fields = {name: value for name, value in source.items() if name != "same_as"}
    turns = tuple(
        Turn(**{**turn, "when": When(**turn.get("when", {})), "call": tuple(turn.get("call", ()))})
        for turn in source["turns"]
    )
    return Dialogue(**{**fields, "turns": turns})


def answer(dialogue: Dialogue, talk: Conversation) -> Reply:
    """Take the first turn that fits; where none does, say so in a way that the run can see."""
    turn = next((turn for turn in dialogue.turns if turn.when.holds(talk)), None)
    if turn is None:
        return _stuck("NoScriptedTurn", f"{dialogue.model} has no turn for this", dialogue.delay_seconds)
    try:
        text = str(_filled(turn.say, talk)) * turn.repeat
        if turn.finish is not None:
            text = json.dumps(_filled(dict(turn.finish), talk))
        calls = tuple(_call(entry, position, talk) for position, entry in enumerate(turn.call))
    except DialogueError as error:
        return _stuck("MissingValue", str(error), dialogue.delay_seconds)
    return Reply(text, calls, dialogue.delay_seconds)


def _stuck(reason: str, message: str, seconds: float) -> Reply:
    return Reply(json.dumps({"error": {"reason": reason, "message": message}}), seconds=seconds)


def _call(entry: Mapping[str, Any], position: int, talk: Conversation) -> Call:
    # From the conversation's digest: asked again, the same call has the same id; no other has it.
    call_id = f"call_{talk.digest[:16]}_{position}"
    return Call(call_id, talk.offered_as(entry["tool"]), _filled(dict(entry["arguments"]), talk))


def _filled(value: Any, talk: Conversation) -> Any:
    """Put values into the slots; a text that is one slot takes the value's type."""
    match value:
        case dict():
            return {name: _filled(part, talk) for name, part in value.items()}
        case list():
            return [_filled(part, talk) for part in value]
        case str() if whole := SLOT.fullmatch(value):
            return _looked_up(whole[1], talk)
        case str():
            return SLOT.sub(lambda slot: _worded(_looked_up(slot[1], talk)), value)
        case _:
            return value


def _worded(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return str(value)


def _looked_up(path: str, talk: Conversation) -> Any:
    root, *steps = path.split(".")
    match root:
        case "input":
            value: Any = talk.run_input
        case "last":
            value = talk.results[-1].value if talk.results else {}
        case "done":
            return [result.tool for result in talk.results if not result.is_error]
        case "tool" if steps:
            value = _answer_of(steps.pop(0), talk)
        case _:
            raise DialogueError(f"nothing is called {path}")
    for step in steps:
        value = _member(value, step, path)
    return value


def _answer_of(tool: str, talk: Conversation) -> Any:
    fitting = [result for result in talk.results if same_tool(result.tool, tool) and not result.is_error]
    return fitting[-1].value if fitting else {}


def _member(value: Any, step: str, path: str) -> Any:
    if isinstance(value, dict) and step in value:
        return value[step]
    if isinstance(value, list) and step.isdigit() and int(step) < len(value):
        return value[int(step)]
    raise DialogueError(f"the conversation has no {path}")
