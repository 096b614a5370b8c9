"""Accounts under any interleaving of calls: spent <= limit + recorded overrun, always."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from remit.core.budget import (
    Account,
    Amount,
    Exhausted,
    HoldMissingError,
    Limits,
    Purpose,
    release,
    remaining,
    reserve,
    settle,
)

LIMITS = Limits(Amount(1000, 10, 5000), wall_clock_seconds=1000, soft_percent=80, handoff_percent=10)
AMOUNTS = st.builds(Amount, st.integers(0, 600), st.integers(0, 4), st.integers(0, 3000))
DIMENSIONS = ("tokens", "tool_calls", "cost_micro_usd")


class Accounts(RuleBasedStateMachine):
    """Compares the account with a plain list of what is held and what was spent."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(opened_at=0.0)
        self.now = 0.0
        self.open: list[Amount] = []
        self.paid: list[tuple[Amount, Amount]] = []
        self.before_handover = True

    def used(self, name: str) -> int:
        held: int = sum(getattr(amount, name) for amount in self.open)
        paid: int = sum(getattr(spent, name) for _, spent in self.paid)
        return held + paid

    @rule(target=holds, amount=AMOUNTS, purpose=st.sampled_from(["ordinary", "hand-over"]))
    def hold(self, amount: Amount, purpose: Purpose) -> Any:
        outcome = reserve(self.account, LIMITS, amount, purpose=purpose, now=self.now)
        bound = LIMITS.amount if purpose == "hand-over" else Amount(900, 10, 4500)
        fits = all(
            getattr(amount, n) == 0 or self.used(n) + getattr(amount, n) <= getattr(bound, n) for n in DIMENSIONS
        )
        assert isinstance(outcome, Account) is fits
        if isinstance(outcome, Exhausted):
            return None
        self.account = outcome
        self.open.append(amount)
        return amount

    @rule(amount=consumes(holds), spent=AMOUNTS)
    def pay(self, amount: Amount | None, spent: Amount) -> None:
        if amount is not None:
            self.account = settle(self.account, amount, spent)
            self.open.remove(amount)
            self.paid.append((amount, spent))

    @rule(amount=consumes(holds))
    def give_back(self, amount: Amount | None) -> None:
        if amount is not None:
            self.account = release(self.account, amount)
            self.open.remove(amount)

    @precondition(lambda self: not self.open)
    @rule(amount=AMOUNTS.filter(lambda amount: amount != Amount()))
    def pay_what_is_not_held(self, amount: Amount) -> None:
        try:
            settle(self.account, amount, amount)
        except HoldMissingError:
            return
        raise AssertionError("a hold was settled twice")

    @invariant()
    def the_books_agree(self) -> None:
        for name in DIMENSIONS:
            assert getattr(self.account.held, name) == sum(getattr(amount, name) for amount in self.open)
            assert getattr(self.account.spent, name) == sum(getattr(spent, name) for _, spent in self.paid)
            beyond = sum(max(0, getattr(spent, name) - getattr(hold, name)) for hold, spent in self.paid)
            assert getattr(self.account.overrun, name) == beyond

    @invariant()
    def spent_is_within_limit_and_overrun(self) -> None:
        for name in DIMENSIONS:
            used = getattr(self.account.spent, name) + getattr(self.account.held, name)
            assert used <= getattr(LIMITS.amount, name) + getattr(self.account.overrun, name)

    @invariant()
    def what_remains_can_be_held(self) -> None:
        left = remaining(self.account, LIMITS)
        assert isinstance(reserve(self.account, LIMITS, left, purpose="ordinary", now=self.now), Account)


TestAccounts = Accounts.TestCase
