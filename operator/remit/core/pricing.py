"""What a call costs at worst before it, and in fact after it. Pure; integers only, rounded up."""

from __future__ import annotations

from dataclasses import dataclass

from remit.api.toolgrant import PricedModel
from remit.core.budget import Account, Amount, Limits, Purpose, remaining

MIN_OUTPUT_TOKENS = 16
"""A call that could answer with less is refused rather than cut."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Tokens of one model call as the provider counts them."""

    input_tokens: int
    output_tokens: int


def hold_of_tool(price_micro_usd: int) -> Amount:
    """Return what one call of a tool costs, at worst and in fact."""
    return Amount(tool_calls=1, cost_micro_usd=price_micro_usd)


def input_bound(body_bytes: int, tokens_per_kib: int) -> int:
    """Return the most input tokens that a body of so many bytes can be."""
    return -(-body_bytes * tokens_per_kib // 1024)


def cost_of(model: PricedModel, use: ModelUse) -> int:
    """Return micro-USD of so many tokens, rounded up."""
    return -(
        -(
            use.input_tokens * model.input_micro_usd_per_million_tokens
            + use.output_tokens * model.output_micro_usd_per_million_tokens
        )
        // _MILLION
    )


def spent_of_model(model: PricedModel, use: ModelUse) -> Amount:
    """Return what a model call spent."""
    return Amount(tokens=use.input_tokens + use.output_tokens, cost_micro_usd=cost_of(model, use))


def hold_of_model(model: PricedModel, *, body_bytes: int, max_tokens: int, choices: int = 1) -> Amount:
    """Return the most that a model call can spend."""
    use = ModelUse(input_bound(body_bytes, model.tokens_per_kib), max_tokens * choices)
    return spent_of_model(model, use)


def affordable_output_tokens(
    account: Account,
    limits: Limits,
    model: PricedModel,
    *,
    body_bytes: int,
    asked: int,
    choices: int = 1,
    purpose: Purpose = "ordinary",
) -> int:
    """Return the max_tokens that the budget affords, at most `asked`; 0 where it is below the floor.

    The floor is MIN_OUTPUT_TOKENS, or `asked` where the agent wants less than that.
    """
    left = remaining(account, limits, purpose)
    given = input_bound(body_bytes, model.tokens_per_kib)
    output = left.tokens - given
    price = model.output_micro_usd_per_million_tokens
    money = left.cost_micro_usd * _MILLION - given * model.input_micro_usd_per_million_tokens
    if money < 0:
        return 0
    if price > 0:
        output = min(output, money // price)
    granted = min(asked, output // choices)
    return granted if granted >= min(asked, MIN_OUTPUT_TOKENS) and granted > 0 else 0
