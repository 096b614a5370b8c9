"""What a call costs at worst and in fact."""

import pytest

from remit.api.toolgrant import PricedModel
from remit.core.budget import Account, Amount, Limits
from remit.core.pricing import (
    ModelUse,
    affordable_output_tokens,
    hold_of_model,
    hold_of_tool,
    input_bound,
    spent_of_model,
)


def model(given: int = 150_000, written: int = 600_000, tokens_per_kib: int = 1024) -> PricedModel:
    return PricedModel(
        name="small",
        input_micro_usd_per_million_tokens=given,
        output_micro_usd_per_million_tokens=written,
        tokens_per_kib=tokens_per_kib,
    )


def limits(tokens: int = 10_000, cost: int = 10_000) -> Limits:
    return Limits(Amount(tokens, 10, cost), 600, 80, 10)


def affordable(asked: int, *, bounds: Limits, body_bytes: int = 1000, choices: int = 1, **more: int) -> int:
    return affordable_output_tokens(
        Account(0.0), bounds, model(**more), body_bytes=body_bytes, asked=asked, choices=choices
    )


def test_a_tool_costs_its_price_and_one_call() -> None:
    assert hold_of_tool(70) == Amount(0, 1, 70)


@pytest.mark.parametrize(("size", "per_kib", "tokens"), [(0, 1024, 0), (1, 1024, 1), (1, 1, 1), (1025, 256, 257)])
def test_input_is_bounded_by_its_bytes(size: int, per_kib: int, tokens: int) -> None:
    assert input_bound(size, per_kib) == tokens


def test_a_model_call_holds_its_worst_case() -> None:
    held = hold_of_model(model(), body_bytes=2000, max_tokens=100, choices=3)
    assert held == Amount(2300, 0, 480)


def test_cost_is_rounded_up() -> None:
    assert spent_of_model(model(1, 0), ModelUse(1, 0)) == Amount(1, 0, 1)
    assert spent_of_model(model(), ModelUse(0, 0)) == Amount()


def test_what_is_affordable_is_granted_as_asked() -> None:
    assert affordable(500, bounds=limits()) == 500


def test_output_is_cut_to_the_tokens_left() -> None:
    assert affordable(9_999, bounds=limits(cost=10**9)) == 8_000


def test_output_is_cut_to_the_money_left() -> None:
    assert affordable(9_999, bounds=limits(tokens=10**6, cost=1_000)) == 1_250


def test_choices_share_what_is_left() -> None:
    assert affordable(9_999, bounds=limits(cost=10**9), choices=4) == 2_000


@pytest.mark.parametrize(("tokens", "granted"), [(1128, 15), (1129, 16)])
def test_below_the_floor_nothing_is_granted(tokens: int, granted: int) -> None:
    left = tokens - -(-tokens // 10) - 1000
    assert left == granted
    assert affordable(100, bounds=limits(tokens=tokens)) == (granted if granted >= 16 else 0)


def test_who_asks_for_less_than_the_floor_gets_it() -> None:
    assert affordable(5, bounds=limits(tokens=1128)) == 5


def test_input_that_is_not_affordable_leaves_nothing() -> None:
    assert affordable(100, bounds=limits(), body_bytes=9_000) == 0
    assert affordable(100, bounds=limits(cost=100)) == 0


def test_a_model_for_free_is_bounded_by_tokens() -> None:
    assert affordable(9_999, bounds=limits(cost=0), given=0, written=0) == 8_000


def test_what_is_affordable_can_be_held() -> None:
    granted = affordable(9_999, bounds=limits(tokens=10**6, cost=1_000))
    assert hold_of_model(model(), body_bytes=1000, max_tokens=granted).cost_micro_usd <= 900
