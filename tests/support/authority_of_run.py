"""All that a run may do at one moment, as values that can be compared: what it may call, within which bounds."""

from dataclasses import dataclass
from typing import Any

from tests.support.bundles import PURPOSE, a_call

from remit.api.policy import Effect
from remit.core.policy import decide
from remit.core.prepare import CompiledBundle
from remit.gateway.authority import Compiled
from remit.gateway.call import Caller, narrowed
from remit.gateway.callers import gathered

Place = tuple[str, str]
AMOUNTS = (10, 5_000, -1)
SERVED = {"reason": "Running", "pod": {"name": "p", "uid": "pod"}}


@dataclass(frozen=True)
class Terms:
    """On which terms a tool is called: where to, as whom, how long, at which price, as how risky."""

    destination: str
    credentials: frozenset[Any]
    seconds: int
    prices: tuple[int, ...]
    risk: int


@dataclass(frozen=True)
class Authority:
    """What a run may do."""

    calls: frozenset[tuple[Place, int]]
    """Tool, amount: every call of the probes that is let through."""
    bounds: tuple[int, ...]
    """Bounds of spending, time and turns: less is less authority."""
    terms: dict[Place, Terms]
    told: tuple[Any, ...]
    """What the agent is told to do, and what counts as a result: the same as long as it runs."""


NOTHING = Authority(frozenset(), (), {}, ())


def authority_of(run: dict[str, Any], pinned: Compiled, live: Compiled, *, now: float = 0.0) -> Authority:
    """Return what a run may do under these bundles; nothing when it is not served."""
    caller = gathered(run, "pod", pinned, live)
    if not isinstance(caller, Caller) or not isinstance(live, CompiledBundle):
        return NOTHING
    places = sorted({*caller.pinned.tools, *live.tools})
    calls = {(place, amount) for place in places for amount in AMOUNTS if is_let_through(caller, place, amount, now)}
    amount, limits, agent = caller.limits.amount, caller.limits, caller.pinned.bundle.agent.spec
    return Authority(
        frozenset(calls),
        (
            amount.tokens,
            amount.tool_calls,
            amount.cost_micro_usd,
            limits.wall_clock_seconds,
            -limits.handoff_percent,
            caller.max_iterations,
            caller.max_output_tokens,
        ),
        {place: terms_of(caller, place) for place, _ in calls},
        (agent.instructions, agent.model.grant, agent.model.name, agent.loop.output_schema, agent.owner),
    )


def is_let_through(caller: Caller, place: Place, amount: int, now: float) -> bool:
    """Decide one call of the probes."""
    fields: dict[str, Any] = {"arguments": {"amount": amount}, "purpose": PURPOSE} | ({"now": now} if now else {})
    return decide(a_call(*place, **fields), caller.pinned, caller.live).effect is Effect.ALLOW


def terms_of(caller: Caller, place: Place) -> Terms:
    """Return the terms of a tool that may be called, as the links use them."""
    entry = narrowed(caller.pinned.tools[place], caller)
    upstream = entry.grant.spec.upstream
    prices: tuple[int, ...] = (entry.tool.price_micro_usd,) if entry.tool else ()
    if entry.model is not None:
        model = entry.model
        prices = (
            model.input_micro_usd_per_million_tokens,
            model.output_micro_usd_per_million_tokens,
            model.tokens_per_kib,
        )
    return Terms(
        upstream.mcp.url if upstream.mcp else upstream.model.base_url if upstream.model else "",
        frozenset(entry.grant.spec.credentials),
        entry.tool.timeout_seconds if entry.tool else 0,
        prices,
        list(type(entry.risk)).index(entry.risk),
    )


def excess(some: Authority, admitted: Authority) -> list[str]:
    """Say in what the one goes beyond the other; nothing when it does not."""
    if some == NOTHING:
        return []
    found = [f"may call {place} with {amount}" for place, amount in sorted(some.calls - admitted.calls)]
    pairs = zip(some.bounds, admitted.bounds, strict=True)
    found += [f"bound {number}: {now} > {then}" for number, (now, then) in enumerate(pairs) if now > then]
    for place in sorted(some.terms.keys() & admitted.terms.keys()):
        found += [f"{place}: {word}" for word in worse(some.terms[place], admitted.terms[place])]
    return found + ([] if some.told == admitted.told else ["is told something else"])


def worse(now: Terms, then: Terms) -> list[str]:
    """Say which terms of a tool are wider."""
    findings = {
        "goes elsewhere": now.destination != then.destination,
        "goes as someone else": now.credentials != then.credentials,
        "may take longer": now.seconds > then.seconds,
        "is cheaper": any(price < before for price, before in zip(now.prices, then.prices, strict=True)),
        "counts as less risky": now.risk < then.risk,
    }
    return [word for word, holds in findings.items() if holds]
