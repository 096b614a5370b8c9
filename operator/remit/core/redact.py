"""What must not be shown. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

REDACTED = "[redacted]"
_MIN_SECRET_CHARACTERS = 4
"""Cutting out shorter ones would destroy answers and hide nothing."""


def without_secrets(value: Any, secrets: Iterable[str]) -> Any:
    """Return a JSON value with every secret cut out of its texts and names, plain or in base64."""
    # the longest first: cutting a short secret out of a longer one would leave the rest of it standing
    forms = sorted((form for secret in secrets for form in _forms(secret)), key=len, reverse=True)
    return _cleaned(value, forms) if forms else value


def _forms(secret: str) -> tuple[str, ...]:
    if len(secret) < _MIN_SECRET_CHARACTERS:
        return ()
    encoded = base64.b64encode(secret.encode()).decode()
    return secret, encoded, encoded.rstrip("=")


def _cleaned(value: Any, forms: list[str]) -> Any:
    if isinstance(value, str):
        for form in forms:
            value = value.replace(form, REDACTED)
        return value
    if isinstance(value, dict):
        return {_cleaned(key, forms): _cleaned(item, forms) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item, forms) for item in value]
    return value
