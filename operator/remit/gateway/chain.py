"""The chain: the one order in which everything happens to a governed call. No link may be taken out or moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from remit.adapters.crash import crash_point
from remit.api.reasons import CallReason
from remit.gateway import links, links_hold, links_upstream
from remit.gateway.call import Answered, Call, Refused
from remit.gateway.gate import Gate
from remit.ports import LedgerUnavailableError

Step = Callable[[Gate, Call], Awaitable[Refused | Answered | None]]


@dataclass(frozen=True, slots=True)
class Link:
    """One step of the chain: None lets the call go on, anything else is its end."""

    name: str
    step: Step


identify: Final = Link("identify", links.identify)
check_schema: Final = Link("schema", links.check_schema)
decide: Final = Link("decide", links.decide)
approve: Final = Link("approve", links.approve)
hold_and_intend: Final = Link("hold", links_hold.hold_and_intend)
add_secret: Final = Link("secret", links_upstream.add_secret)
call_upstream: Final = Link("call", links_upstream.call_upstream)
settle: Final = Link("settle", links_hold.settle)

LINKS: Final[tuple[Link, ...]] = (
    identify,  # token → pod → run → bundles: nothing else is believed
    check_schema,  # malformed arguments are seen by nothing that follows
    decide,  # silence is a deny
    approve,  # only what the rules allow is worth a person's time
    hold_and_intend,  # one durable transaction: the worst case is reserved, the intent is recorded
    add_secret,  # nobody but the upstream ever sees it
    call_upstream,
    settle,  # one durable transaction: the outcome is recorded, the hold is settled
)


async def govern(gate: Gate, call: Call, chain: tuple[Link, ...] = LINKS) -> Answered | Refused:
    """Lead one call through the chain; whatever ends it early is durable before it is told."""
    began = gate.clock.monotonic()
    end: Answered | Refused | None = None
    try:
        for link in chain:
            crash_point(f"before-{link.name}")
            end = await link.step(gate, call)
            crash_point(f"after-{link.name}")
            if end is not None:
                return await links_hold.conclude(gate, call, end)
        end = call.answered or Refused(CallReason.UPSTREAM_ERROR, "the call came to no answer")
    except LedgerUnavailableError:
        end = Refused(CallReason.LEDGER_UNAVAILABLE, "nothing can be recorded now: no call is made; try again")
    finally:
        gate.flights.leave(call)
        count(gate, call, end, gate.clock.monotonic() - began)
    return end


def count(gate: Gate, call: Call, end: Answered | Refused | None, seconds: float) -> None:
    """Count the call. Labels are of our own vocabulary: no name of a run or tool, which a caller could make up."""
    risk = str(call.tool.risk) if call.tool is not None else ""
    gate.metrics.count_call(call.kind, risk, str(end.reason) if end is not None else "Interrupted", seconds)
