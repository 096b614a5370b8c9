"""Canonical JSON (RFC 8785) and SHA-256: what is digested, pinned and recorded. Pure."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import rfc8785

_MAX_SAFE_INTEGER = 2**53 - 1
_FIRST_EXPONENT = 1e21
"""From here on RFC 8785 writes exponents."""
_SMALL = 1e-4
"""Below, the standard library writes exponents where RFC 8785 does not."""
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


def canonical(value: Any) -> bytes:
    """Return the canonical bytes of a JSON value; raises ValueError for what JSON cannot say.

    Most documents of ours hold no float, no huge integer and only ASCII names: for those the standard
    library's sorted output is RFC 8785 already, and much faster. A property test compares the two.
    """
    if _is_plain(value):
        return _encode(value).encode()
    _require_exact(value)
    encoded: bytes = rfc8785.dumps(value)
    return encoded


def _is_plain(value: object) -> bool:
    """Tell whether the standard library writes the value as RFC 8785 does."""
    if isinstance(value, str | bool) or value is None:
        return True
    if isinstance(value, int):
        return -_MAX_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER
    if isinstance(value, float):
        return _SMALL <= abs(value) <= _MAX_SAFE_INTEGER and not value.is_integer()
    if isinstance(value, dict):
        return all(isinstance(key, str) and key.isascii() and _is_plain(value[key]) for key in value)
    return isinstance(value, list) and all(_is_plain(item) for item in value)


def _require_exact(value: object) -> None:
    """Refuse a float that is written as an integer which no reader keeps exact: it could not be read back."""
    if isinstance(value, float) and _MAX_SAFE_INTEGER < abs(value) < _FIRST_EXPONENT:
        raise ValueError("a number is beyond what JSON readers keep exact")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _require_exact(child)


def sha256_hex(content: bytes) -> str:
    """Return the SHA-256 of the bytes in lower-case hex."""
    return sha256(content).hexdigest()


def digest_of(value: Any) -> str:
    """Return `sha256:HEX` of the value's canonical bytes."""
    return f"sha256:{sha256(canonical(value)).hexdigest()}"
