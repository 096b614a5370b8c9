"""Moments as Kubernetes writes them (RFC 3339, UTC, whole seconds) and as seconds since the epoch. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(epoch_seconds: float) -> str:
    """Return the moment as metav1.Time writes it."""
    return datetime.fromtimestamp(int(epoch_seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch_seconds(moment: str) -> float:
    """Return the seconds since the epoch; a moment without a zone is UTC. Raises ValueError for another text."""
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
