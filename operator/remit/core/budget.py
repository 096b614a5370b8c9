"""Budgets of a run: two-phase accounting (reserve, then settle or release) on frozen values.

Pure. Spent <= limit + recorded overrun in every state: a hold is the worst case, taken before the call
(TigerBeetle's pending and posted transfers).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from remit.api.agentrun import RunBudget
from remit.api.bundle import Bundle
from remit.api.policy import BudgetScope
from remit.api.wire import BudgetWord

DIMENSIONS = ("tokens", "tool_calls", "cost_micro_usd")
RING_FENCED = ("tokens", "cost_micro_usd")
"""What a share of is kept for the hand-over call."""
HANDOVER_GRACE_SECONDS = 30
"""How long after the wall clock's end the hand-over call may still be made."""
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
            self.tokens + other.tokens,
            self.tool_calls + other.tool_calls,
            self.cost_micro_usd + other.cost_micro_usd,
        )

    def minus(self, other: Amount) -> Amount:
        """Subtract by dimension, not below zero."""
        return Amount(
            max(0, self.tokens - other.tokens),
            max(0, self.tool_calls - other.tool_calls),
            max(0, self.cost_micro_usd - other.cost_micro_usd),
        )

    def covers(self, other: Amount) -> bool:
        """Tell whether no dimension of `other` is larger."""
        return (
            other.tokens <= self.tokens
            and other.tool_calls <= self.tool_calls
            and other.cost_micro_usd <= self.cost_micro_usd
        )


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


class HoldMissingError(ValueError):
    """What is to be settled or released is not held: it was settled before."""


def limits_of(bundle: Bundle, run: RunBudget | None = None) -> Limits:
    """Return the least of every budget per Run in the bundle, and of the run's own.

    The share for the hand-over is the largest asked for: a floor that wants more room is heard.
    Raises ValueError for a bundle without a budget per Run, which compile_bundle never returns.
    """
    budgets = [b for p in bundle.policies for b in p.spec.budgets if b.per is BudgetScope.RUN]
    own = run or RunBudget()
    return Limits(
        amount=Amount(
            _least((b.tokens for b in budgets), own.tokens),
            _least((b.tool_calls for b in budgets), own.tool_calls),
            _least((b.cost_micro_usd for b in budgets), own.cost_micro_usd),
        ),
        wall_clock_seconds=_least((b.wall_clock_seconds for b in budgets), own.wall_clock_seconds),
        soft_percent=min(b.soft_percent for b in budgets),
        handoff_percent=max(b.handoff_percent for b in budgets),
    )


def _least(bounds: Iterable[int], own: int | None) -> int:
    least = min(bounds)
    return least if own is None else min(least, own)


def lowest(pinned: Limits, live: Limits) -> Limits:
    """Return the limits that hold for both: a bundle that changed under way can only take away."""
    return Limits(
        amount=Amount(
            min(pinned.amount.tokens, live.amount.tokens),
            min(pinned.amount.tool_calls, live.amount.tool_calls),
            min(pinned.amount.cost_micro_usd, live.amount.cost_micro_usd),
        ),
        wall_clock_seconds=min(pinned.wall_clock_seconds, live.wall_clock_seconds),
        soft_percent=min(pinned.soft_percent, live.soft_percent),
        handoff_percent=max(pinned.handoff_percent, live.handoff_percent),
    )


def spendable(limits: Limits, purpose: Purpose) -> Amount:
    """Return the limit for a purpose: ordinary calls leave the hand-over's share alone."""
    whole = limits.amount
    if purpose == "hand-over":
        return whole
    return replace(
        whole,
        tokens=whole.tokens - _share(whole.tokens, limits.handoff_percent),
        cost_micro_usd=whole.cost_micro_usd - _share(whole.cost_micro_usd, limits.handoff_percent),
    )


def _share(whole: int, percent: int) -> int:
    return -(-whole * percent // 100)


def remaining(account: Account, limits: Limits, purpose: Purpose = "ordinary") -> Amount:
    """Return what may still be reserved."""
    return spendable(limits, purpose).minus(account.spent + account.held)


def reserve(account: Account, limits: Limits, amount: Amount, *, purpose: Purpose, now: float) -> Account | Exhausted:
    """Hold an amount, all of it or nothing."""
    elapsed = max(0, int(now - account.opened_at))
    grace = HANDOVER_GRACE_SECONDS if purpose == "hand-over" else 0
    if elapsed >= limits.wall_clock_seconds + grace:
        return Exhausted("wall_clock_seconds", limits.wall_clock_seconds, elapsed, 0, 0)
    bound = spendable(limits, purpose)
    for name in DIMENSIONS:
        spent, held = getattr(account.spent, name), getattr(account.held, name)
        asked, limit = getattr(amount, name), getattr(bound, name)
        if asked > 0 and spent + held + asked > limit:
            return Exhausted(name, limit, spent, held, asked)
    return replace(account, held=account.held + amount)


def settle(account: Account, hold: Amount, spent: Amount) -> Account:
    """Turn a hold into what was spent; what goes beyond the hold is recorded as overrun.

    Raises HoldMissingError when so much is not held.
    """
    freed = release(account, hold)
    return replace(freed, spent=freed.spent + spent, overrun=freed.overrun + spent.minus(hold))


def release(account: Account, hold: Amount) -> Account:
    """Give a hold back unspent; raises HoldMissingError when so much is not held."""
    if not account.held.covers(hold):
        raise HoldMissingError("this hold was settled or released before")
    return replace(account, held=account.held.minus(hold))


def word(account: Account, limits: Limits, now: float) -> BudgetWord:
    """Return how the budget stands, in the word that the agent is told."""
    elapsed = max(0, int(now - account.opened_at))
    used = account.spent + account.held
    bound = spendable(limits, "ordinary")
    pairs = [(getattr(used, n), getattr(bound, n), getattr(limits.amount, n)) for n in DIMENSIONS]
    pairs.append((elapsed, limits.wall_clock_seconds, limits.wall_clock_seconds))
    if any(use >= end for use, end, whole in pairs if whole > 0):
        return "exhausted"
    if any(use * 100 >= whole * limits.soft_percent for use, _, whole in pairs if whole > 0):
        return "soft"
    return "ok"
