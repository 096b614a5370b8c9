"""Turns samples into figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

__all__ = ["CONTROL_BOUND", "PEER_TOLERANCE", "Anchor", "control_difference", "median", "percentile", "spread"]

PEER_TOLERANCE = 2.5
"""A peer further than this factor from what was measured before is not the peer that we think it is."""
CONTROL_BOUND = 0.10
"""Two measurements of the same thing that differ by more than this tell of the machine, not of the thing."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a peer's figure was when it was measured before, from its lowest to its highest."""

    low: float
    high: float

    def holds(self, figure: float) -> bool:
        """Tell whether a peer's figure is near enough to be believed."""
        return self.low / PEER_TOLERANCE <= figure <= self.high * PEER_TOLERANCE


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least `share` of them do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(samples: Sequence[float]) -> float:
    """Return the distance between the quartiles as a share of the median; 0 for fewer than two samples."""
    middle = median(samples)
    if len(samples) < 2 or middle == 0:  # noqa: PLR2004 - one sample has no quartiles
        return 0.0
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return (high - low) / middle


def control_difference(first: Sequence[float], second: Sequence[float]) -> float:
    """Return how far the medians of two measurements of the same thing are apart, as a share of the first."""
    return abs(median(second) / median(first) - 1)
