"""The order of the chain is behaviour: a link taken out, or two neighbours swapped, breaks a promise named here.

Each promise is checked with the chain as it is, where it holds, and with every mutation of it: none passes them all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.fake_authority import RUN_UID, a_policy, a_rule
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway_process import SECRET, Served, reason_of
from tests.support.governed import governed

from remit.gateway import chain as chain_module
from remit.gateway import mcp_route
from remit.gateway.call import Answered, Call, Refused
from remit.gateway.chain import LINKS, Link, govern
from remit.gateway.gate import Gate

LIMIT = a_rule("limit", "Deny", "risk == 'Financial' && arguments.amount > 100", ("bank/credit",))
ASK = a_rule("ask", "RequireApproval", "risk == 'Financial' && arguments.amount > 50", ("bank/credit",))
POLICY = a_policy(LIMIT, ASK, a_rule(), toolCalls=2)


@dataclass(frozen=True)
class Observed:
    """What a chain did in one story."""

    stranger: str
    malformed: str
    denied: str
    waiting: str
    after_refusals: tuple[str, ...]
    upstream_before_budget: tuple[str, ...]
    answer: str
    upstream_key: str
    entries: tuple[str, ...]
    spent: int
    held: int
    over_budget: str
    secret_read_over_budget: bool


async def story(world: Served, bank: FakeUpstream) -> Observed:
    """Live through what an agent may do, and write down what is seen of it."""
    stranger = await status_of(world, Authorization="Bearer stolen")
    malformed = await reason(world, {"amount": "much"}, "m")
    denied = await reason(world, {"amount": 500}, "d")
    waiting = await reason(world, {"amount": 70}, "w")
    refusals = await kinds(world)
    early = tuple(body["params"]["name"] for _, body in bank.requests)
    answer = await reason(world, {"amount": 5}, "a")
    key = bank.requests[-1][0].get("X-Bank-Key", "") if bank.requests else ""
    entries = await kinds(world)
    record = await world.ledger.read(lambda tx: tx.run(RUN_UID))
    await reason(world, {"amount": 6}, "b")
    world.cluster.secret_reads.clear()
    assert world.gateway is not None
    world.gateway.gate.secrets._kept.clear()  # type: ignore[attr-defined]
    over = await reason(world, {"amount": 7}, "c")
    return Observed(
        stranger=stranger,
        malformed=malformed,
        denied=denied,
        waiting=waiting,
        after_refusals=refusals,
        upstream_before_budget=early,
        answer=answer,
        upstream_key=key,
        entries=entries,
        spent=record.account.spent.tool_calls if record else 0,
        held=record.account.held.tool_calls if record else 0,
        over_budget=over,
        secret_read_over_budget=bool(world.cluster.secret_reads),
    )


async def reason(world: Served, arguments: dict[str, Any], call_id: str) -> str:
    """Return the reason of a call's refusal, `ok` for an answer, `broken` where the gateway failed."""
    status, answer, _ = await world.call_raw("credit", arguments, call_id)
    if status == 500:
        return "broken"
    return reason_of(answer) or ("ok" if "result" in answer else str(answer["error"]["reason"]))


async def status_of(world: Served, **headers: str) -> str:
    status, answer, _ = await world.call_raw("credit", {"amount": "much"}, "s", **headers)
    return f"{status} {answer.get('error', {}).get('reason', '') if isinstance(answer, dict) else ''}"


async def kinds(world: Served) -> tuple[str, ...]:
    return tuple(await world.kinds())


PROMISES: dict[str, Callable[[Observed], bool]] = {
    "a stranger hears nothing but that": lambda seen: seen.stranger == "401 Unauthenticated",
    "malformed arguments are named as such": lambda seen: seen.malformed == "InvalidArguments",
    "a rule's deny is named as such": lambda seen: seen.denied == "PolicyDenied",
    "what needs a person is never let through": lambda seen: seen.waiting == "ApprovalUnavailable",
    "a refusal leaves a denial and no intent": lambda seen: seen.after_refusals == ("bundle", *["denial"] * 3),
    "what is refused never reaches the upstream": lambda seen: seen.upstream_before_budget == (),
    "what is allowed is answered": lambda seen: seen.answer == "ok",
    "the upstream sees its key": lambda seen: seen.upstream_key == SECRET,
    "a call leaves intent and outcome": lambda seen: seen.entries[4:] == ("intent", "outcome"),
    "a call is paid for": lambda seen: (seen.spent, seen.held) == (1, 0),
    "the budget bounds the calls": lambda seen: seen.over_budget == "BudgetExhausted",
    "no secret is read for what is not affordable": lambda seen: not seen.secret_read_over_budget,
}


def without(name: str) -> tuple[Link, ...]:
    """Return the chain without one link."""
    return tuple(link for link in LINKS if link.name != name)


def swapped(place: int) -> tuple[Link, ...]:
    """Return the chain with two neighbours swapped."""
    links = list(LINKS)
    links[place], links[place + 1] = links[place + 1], links[place]
    return tuple(links)


MUTATIONS = {f"without {link.name}": without(link.name) for link in LINKS} | {
    f"{LINKS[place + 1].name} before {LINKS[place].name}": swapped(place) for place in range(len(LINKS) - 1)
}


async def observed_with(links: tuple[Link, ...], monkeypatch: pytest.MonkeyPatch) -> Observed:
    async def governed_by(gate: Gate, call: Call) -> Answered | Refused:
        return await govern(gate, call, links)

    monkeypatch.setattr(mcp_route, "govern", governed_by)
    async with governed(POLICY) as (world, bank):
        return await story(world, bank)


async def test_the_chain_keeps_every_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = await observed_with(LINKS, monkeypatch)
    assert [promise for promise, holds in PROMISES.items() if not holds(seen)] == []


@pytest.mark.parametrize("links", MUTATIONS.values(), ids=MUTATIONS)
async def test_a_chain_with_a_link_taken_out_or_moved_breaks_a_promise(
    links: tuple[Link, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = await observed_with(links, monkeypatch)
    assert [promise for promise, holds in PROMISES.items() if not holds(seen)] != []


def test_the_chain_is_the_one_of_the_design() -> None:
    names = ["identify", "schema", "decide", "approve", "hold", "secret", "call", "settle"]
    assert [link.name for link in chain_module.LINKS] == names
