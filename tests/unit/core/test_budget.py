"""Reserve, settle, release: what may be spent, and what the agent is told."""

from typing import Any

import pytest
from tests.support.bundles import INSTALL_NAMESPACE, a_budget, a_bundle, a_policy, a_rule

from remit.api.agentrun import RunBudget
from remit.core.budget import (
    HANDOVER_GRACE_SECONDS,
    Account,
    Amount,
    Exhausted,
    HoldMissingError,
    Limits,
    limits_of,
    lowest,
    release,
    remaining,
    reserve,
    settle,
    word,
)

LIMITS = Limits(Amount(1000, 10, 2000), wall_clock_seconds=600, soft_percent=80, handoff_percent=5)
OPENED = Account(opened_at=100.0)


def reserved(account: Account, *amount: int, **more: Any) -> Account | Exhausted:
    return reserve(account, LIMITS, Amount(*amount), **{"purpose": "ordinary", "now": 100.0, **more})


def held(account: Account, *amount: int, **more: Any) -> Account:
    outcome = reserved(account, *amount, **more)
    assert isinstance(outcome, Account)
    return outcome


def test_a_hold_counts_until_it_is_settled() -> None:
    account = held(OPENED, 100, 1, 50)
    assert (account.held, account.spent) == (Amount(100, 1, 50), Amount())
    settled = settle(account, Amount(100, 1, 50), Amount(60, 1, 20))
    assert (settled.held, settled.spent, settled.overrun) == (Amount(), Amount(60, 1, 20), Amount())


def test_what_goes_beyond_a_hold_is_recorded() -> None:
    settled = settle(held(OPENED, 100, 1, 50), Amount(100, 1, 50), Amount(130, 1, 70))
    assert (settled.spent, settled.overrun) == (Amount(130, 1, 70), Amount(30, 0, 20))


def test_a_released_hold_is_free_again() -> None:
    assert release(held(OPENED, 100, 1, 50), Amount(100, 1, 50)) == OPENED


@pytest.mark.parametrize("amount", [Amount(1), Amount(0, 1), Amount(0, 0, 1)])
def test_a_hold_is_settled_once(amount: Amount) -> None:
    once = settle(held(OPENED, 1, 1, 1), Amount(1, 1, 1), Amount())
    with pytest.raises(HoldMissingError):
        settle(once, amount, Amount())
    with pytest.raises(HoldMissingError):
        release(once, amount)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ((950, 0, 0), None),
        ((951, 0, 0), Exhausted("tokens", 950, 0, 0, 951)),
        ((0, 10, 0), None),
        ((0, 11, 0), Exhausted("tool_calls", 10, 0, 0, 11)),
        ((0, 0, 1900), None),
        ((0, 0, 1901), Exhausted("cost_micro_usd", 1900, 0, 0, 1901)),
    ],
)
def test_a_hold_fits_or_says_what_is_exhausted(amount: tuple[int, ...], expected: Exhausted | None) -> None:
    outcome = reserved(OPENED, *amount)
    assert (outcome if isinstance(outcome, Exhausted) else None) == expected


def test_holds_of_others_count() -> None:
    assert reserved(held(OPENED, 900, 0, 0), 51, 0, 0) == Exhausted("tokens", 950, 0, 900, 51)


def test_what_is_not_asked_for_cannot_be_exhausted() -> None:
    over = settle(held(OPENED, 900, 0, 0), Amount(900), Amount(5000))
    assert isinstance(reserved(over, 0, 1, 10), Account)


def test_the_hand_over_has_a_share_of_its_own() -> None:
    spent = settle(held(OPENED, 950, 0, 1900), Amount(950, 0, 1900), Amount(950, 0, 1900))
    assert isinstance(reserved(spent, 1, 0, 0), Exhausted)
    assert isinstance(reserved(spent, 50, 0, 100, purpose="hand-over"), Account)
    assert isinstance(reserved(spent, 51, 0, 0, purpose="hand-over"), Exhausted)


def test_the_wall_clock_ends_ordinary_calls_first() -> None:
    assert isinstance(reserved(OPENED, 1, now=699.9), Account)
    assert reserved(OPENED, 1, now=700.0) == Exhausted("wall_clock_seconds", 600, 600, 0, 0)
    grace = 700.0 + HANDOVER_GRACE_SECONDS
    assert isinstance(reserved(OPENED, 1, now=grace - 0.1, purpose="hand-over"), Account)
    assert isinstance(reserved(OPENED, 1, now=grace, purpose="hand-over"), Exhausted)


def test_a_clock_that_went_back_refuses_nothing() -> None:
    assert isinstance(reserved(OPENED, 1, now=0.0), Account)


def test_what_remains_is_what_may_be_held() -> None:
    assert remaining(held(OPENED, 100, 1, 100), LIMITS) == Amount(850, 9, 1800)
    assert remaining(OPENED, LIMITS, "hand-over") == LIMITS.amount


@pytest.mark.parametrize(
    ("spent", "now", "expected"),
    [
        (Amount(), 100.0, "ok"),
        (Amount(799, 7, 1599), 579.0, "ok"),
        (Amount(800), 100.0, "soft"),
        (Amount(0, 8), 100.0, "soft"),
        (Amount(0, 0, 1600), 100.0, "soft"),
        (Amount(), 580.0, "soft"),
        (Amount(950), 100.0, "exhausted"),
        (Amount(0, 10), 100.0, "exhausted"),
        (Amount(0, 0, 1900), 100.0, "exhausted"),
        (Amount(), 700.0, "exhausted"),
    ],
)
def test_the_agent_is_told_how_the_budget_stands(spent: Amount, now: float, expected: str) -> None:
    assert word(Account(100.0, spent=spent), LIMITS, now) == expected


def test_a_budget_of_nothing_is_not_exhausted_by_nothing() -> None:
    none = Limits(Amount(1000, 0, 0), 600, 80, 5)
    assert word(OPENED, none, 100.0) == "ok"


def test_the_least_bound_of_every_policy_and_of_the_run_holds() -> None:
    policies = [
        a_policy(a_rule(), budgets=[a_budget(tokens=500, softPercent=70, handoffPercent=5)]),
        a_policy(
            name="floor",
            namespace=INSTALL_NAMESPACE,
            namespaceSelector={},
            budgets=[a_budget(tokens=900, toolCalls=3, softPercent=90, handoffPercent=10)],
        ),
    ]
    limits = limits_of(a_bundle(None, None, policies).bundle, RunBudget(cost_micro_usd=7, tool_calls=50))
    assert limits == Limits(Amount(500, 3, 7), 600, 70, 10)


def test_a_run_may_bound_its_time() -> None:
    assert limits_of(a_bundle().bundle, RunBudget(wall_clock_seconds=5)).wall_clock_seconds == 5
    assert limits_of(a_bundle().bundle).wall_clock_seconds == 600


def test_of_two_limits_the_lower_holds() -> None:
    other = Limits(Amount(5000, 1, 2000), 60, 90, 20)
    assert lowest(LIMITS, other) == lowest(other, LIMITS) == Limits(Amount(1000, 1, 2000), 60, 80, 20)


def test_amounts_add_and_cover_by_dimension() -> None:
    assert Amount(1, 2, 3) + Amount(4, 5, 6) == Amount(5, 7, 9)
    assert Amount(1, 1, 1).covers(Amount(1, 1, 1))
    assert not any(Amount(1, 1, 1).covers(larger) for larger in (Amount(2), Amount(0, 2), Amount(0, 0, 2)))
