"""Log lines of both processes: one JSON object each, on standard output. Reasons, counts and names, never contents.

Whoever works for one object says for which (`about`, `speak_of`): then every line says it, from however deep it comes.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

import structlog
from typing_extensions import override

LINE_LIMIT = 500
_NOBODY: Final[Mapping[str, str]] = MappingProxyType({})
_SUBJECT: Final[ContextVar[Mapping[str, str]]] = ContextVar("subject", default=_NOBODY)
"""One variable, not one for each field: the gateway sets it for every call."""


def configure_logs() -> None:
    """Write every log line to standard output as one JSON object."""
    structlog.configure(
        processors=[
            say_whom,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(sys.stdout)
    libraries.setFormatter(LibraryLines())
    logging.basicConfig(level=logging.WARNING, handlers=[libraries])


def speak_of(subject: Mapping[str, str]) -> None:
    """Have every line of this task from now on say whom it is about."""
    _SUBJECT.set(subject)


@contextmanager
def about(subject: Mapping[str, str]) -> Iterator[None]:
    """Have every line of the block say whom it is about, those of what the block awaits included."""
    token = _SUBJECT.set(subject)
    try:
        yield
    finally:
        _SUBJECT.reset(token)


def say_whom(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add whom a line is about; what the line says itself stays."""
    for key, value in _SUBJECT.get().items():
        line.setdefault(key, value)
    return line


class LibraryLines(logging.Formatter):
    """What libraries have to say, in the same form: bounded, and without tracebacks, which repeat contents."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON object."""
        said = record.getMessage().splitlines() or [""]
        line = {"event": said[0][:LINE_LIMIT], "level": record.levelname.lower(), "logger": record.name}
        return json.dumps(line)


def _dumps(event: Any, **_: Any) -> str:
    return json.dumps(event, default=str)
