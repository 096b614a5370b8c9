"""A conversation as both APIs see it: what was asked, said, called and answered so far."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

MAX_BRACES_TRIED = 50


class BadRequestError(Exception):
    """The request is not one that this server understands."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model makes, or made."""

    call_id: str
    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A turn of the model."""

    text: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Returned:
    """What a tool call came back with."""

    tool: str
    text: str
    marked_error: bool = False

    @property
    def value(self) -> Any:
        """The text as JSON, or as it is when it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text

    @property
    def is_error(self) -> bool:
        """Whether the tool refused or failed."""
        value = self.value
        return self.marked_error or (isinstance(value, dict) and "error" in value)


Entry = Heard | Said | Returned


@dataclass(frozen=True)
class Conversation:
    """Everything so far, with the tools on offer and the bound on the answer."""

    entries: tuple[Entry, ...]
    offered: tuple[str, ...]
    digest: str
    system: str = ""
    max_tokens: int | None = None

    @property
    def turns(self) -> int:
        """How often the model has spoken."""
        return sum(isinstance(entry, Said) for entry in self.entries)

    @cached_property
    def results(self) -> tuple[Returned, ...]:
        """All tool results, oldest first, by the names of the dialogue."""
        return tuple(entry for entry in self.entries if isinstance(entry, Returned))

    @property
    def last_request(self) -> str:
        """What the user said last, when nothing came after it."""
        last = self.entries[-1] if self.entries else None
        return last.text if isinstance(last, Heard) else ""

    @cached_property
    def run_input(self) -> dict[str, Any]:
        """The first JSON object that the user gave, or else the system prompt."""
        texts = [entry.text for entry in self.entries if isinstance(entry, Heard)]
        found = first_object([*texts, self.system])
        inner = found.get("input")
        return inner if isinstance(inner, dict) else found

    def offered_as(self, tool: str) -> str:
        """Return the name under which a tool of the dialogue is on offer, prefixed or not."""
        return next((name for name in self.offered if same_tool(name, tool)), tool)


def same_tool(offered: str, tool: str) -> bool:
    """Tell whether an offered name is the tool's, perhaps behind a prefix such as `bank.`."""
    return offered == tool or re.search(rf"[^a-z0-9]{re.escape(tool)}$|__{re.escape(tool)}$", offered) is not None


def first_object(texts: Iterable[str]) -> dict[str, Any]:
    """Return the first JSON object in the texts, or an empty one."""
    decoder = json.JSONDecoder()
    for text in texts:
        for brace in [match.start() for match in re.finditer(r"\{", text)][:MAX_BRACES_TRIED]:
            try:
                value, _ = decoder.raw_decode(text, brace)
            except ValueError:
                continue
            if value:
                return dict(value)
    return {}
