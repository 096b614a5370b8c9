"""Budgets of a run: two-phase accounting (reserve, then settle or release) on frozen values.

Pure. Spent <= limit + recorded overrun in every state: a hold is the worst case, taken before the call
(TigerBeetle's pending and posted transfers).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

DIMENSIONS = ("tokens", "tool_calls", "cost_micro_usd")
Purpose = Literal["ordinary", "hand-over"]


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity of each budgeted thing; never negative."""

    tokens: int = 0
    tool_calls: int = 0
    cost_micro_usd: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Add by dimension."""
        return Amount(
            self.tokens + other.tokens, self.tool_calls + other.tool_calls, self.cost_micro_usd + other.cost_micro_usd
        )

    def minus(self, other: Amount) -> Amount:
        """Subtract by dimension, not below zero."""
        return Amount(*(max(0, getattr(self, name) - getattr(other, name)) for name in DIMENSIONS))


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds in force: the least of every budget that applies."""

    amount: Amount
    wall_clock_seconds: int
    soft_percent: int
    handoff_percent: int


@dataclass(frozen=True, slots=True)
class Account:
    """A run's money: what is spent, what is held, what went beyond a hold. `opened_at` is epoch seconds."""

    opened_at: float
    spent: Amount = Amount()
    held: Amount = Amount()
    overrun: Amount = Amount()


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Why nothing was reserved: the dimension (a name of Amount, or wall_clock_seconds) and its figures."""

    dimension: str
    limit: int
    spent: int
    held: int
    asked: int
