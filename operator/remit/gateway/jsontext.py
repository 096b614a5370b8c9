"""Strict JSON from outside: bounded in bytes and depth, no name twice, no NaN. Pure.

Two readers of one text must not see two different calls, so that what JSON leaves open is refused.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from remit.api.reasons import CallReason
from remit.core.schema import depth_of

MAX_BODY_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64


class MalformedError(ValueError):
    """What came is no JSON that we take; `reason` is Malformed or TooLarge, the text repeats none of it."""

    def __init__(self, message: str, reason: CallReason = CallReason.MALFORMED) -> None:
        """Keep the reason beside the text."""
        super().__init__(message)
        self.reason = reason


def parse(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> Any:
    """Return the JSON value; raises MalformedError."""
    if len(body) > max_bytes:
        raise MalformedError(f"the body is larger than {max_bytes} bytes", CallReason.TOO_LARGE)
    try:
        value = _decode(body.decode("utf-8"))
    except MalformedError:
        raise
    except UnicodeDecodeError as error:
        raise MalformedError("the body is not UTF-8") from error
    except RecursionError as error:
        raise MalformedError(f"the body is nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        raise MalformedError("the body is not JSON, or not all of it") from error
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise MalformedError(f"the body is nested deeper than {MAX_DEPTH}")
    return value


def parse_object(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """Return the JSON object; raises MalformedError."""
    value = parse(body, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise MalformedError("the body must be one JSON object")
    return value


def write(value: Any) -> bytes:
    """Return compact JSON bytes; a lone surrogate is written as its escape."""
    return _encode(value).encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("a name stands twice in one object")
    return found


def _refuse_constant(_name: str) -> NoReturn:
    raise MalformedError("NaN and Infinity are not JSON")


# Made once: json.loads and json.dumps with settings make a coder for each call.
_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant).decode
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
