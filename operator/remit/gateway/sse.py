"""Server-sent events: an incremental reader and a writer. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_EVENT_BYTES: Final = 1 << 20
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """One event is larger than the bound."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name (empty for the default) and its data."""

    name: str
    data: str

    def encoded(self) -> bytes:
        """Return the event as it goes over the wire."""
        head = f"event: {self.name}\n" if self.name else ""
        lines = "".join(f"data: {line}\n" for line in _LINE_ENDS_TEXT.split(self.data))
        return f"{head}{lines}\n".encode()


_LINE_ENDS_TEXT = re.compile(r"\r\n|\n|\r")


class EventReader:
    """Turns chunks into events, however they are cut."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        """Start at the beginning of a stream."""
        self._max = max_event_bytes
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self._begun = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that are complete now; raises EventTooLargeError."""
        text = self._rest + chunk
        if not self._begun:
            if _BYTE_ORDER_MARK.startswith(text):
                self._rest = text
                return []
            text, self._begun = text.removeprefix(_BYTE_ORDER_MARK), True
        lines, self._rest = _whole_lines(text)
        events = [event for line in lines if (event := self._take(line)) is not None]
        if len(self._rest) + self._size > self._max:
            raise EventTooLargeError(f"one event is larger than {self._max} bytes")
        return events

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        self._size += len(line)
        if self._size > self._max:
            raise EventTooLargeError(f"one event is larger than {self._max} bytes")
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if field == b"data":
            self._data.append(text)
        elif field == b"event":
            self._name = text
        return None

    def _dispatch(self) -> Event | None:
        event = Event(self._name, "\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event


def _whole_lines(text: bytes) -> tuple[list[bytes], bytes]:
    """Split into lines; a CR at the very end may be half of a CRLF and waits for the next chunk."""
    waiting = text.endswith(b"\r")
    lines = _LINE_END.split(text[:-1] if waiting else text)
    rest = lines.pop()
    return lines, rest + b"\r" if waiting else rest


def events_of(body: bytes, *, max_event_bytes: int = MAX_EVENT_BYTES) -> list[Event]:
    """Return all events of a whole body; raises EventTooLargeError."""
    reader = EventReader(max_event_bytes)
    return [*reader.feed(body), *reader.feed(b"\n\n")]
