"""Log lines of both processes: one JSON object each, on standard output. Reasons, counts and names, never contents.

Whoever works on one object binds who it is (`about`): then every line says it, from however deep it comes.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import structlog
from typing_extensions import override

LINE_LIMIT = 500


def configure_logs() -> None:
    """Write every log line to standard output as one JSON object."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
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


def about(subject: Mapping[str, str]) -> AbstractContextManager[object]:
    """Have every line of the block say whom it is about, those of what the block awaits included."""
    return structlog.contextvars.bound_contextvars(**subject)


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
