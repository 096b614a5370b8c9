"""An agent whose authority was taken back is heard, and does not say how its run ended."""

from typing import Any

import pytest
from tests.dataplane.gateway.test_authority import refusal
from tests.dataplane.gateway.test_revocation import WAYS
from tests.dataplane.gateway.test_run_contract import final_status
from tests.support.gateway_process import Served
from tests.support.governed import governed
from tests.support.polling import eventually_async

from remit.gateway.store import AGENT


async def is_suspended(world: Served) -> bool:
    """Tell whether the gateway has seen that the agent is suspended."""
    assert world.gateway is not None
    seen = world.gateway.gate.authority.store.get(AGENT, "bank", "clerk")
    return seen is not None and seen["spec"]["lifecycle"] == "Suspended"


@pytest.mark.parametrize(
    "way", ["agent suspended", "agent deleted", "namespace revoked by its own admin", "everything revoked"]
)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/run/v1/result", {"outcome": "Failed", "stop": "Error", "message": "my call was cut"}),
        ("/run/v1/result", {"outcome": "Succeeded", "stop": "Answered", "result": {"decision": "credit"}}),
        ("/run/v1/hand-over", {"stop": "budget", "partial": {"seen": 1}}),
    ],
    ids=["failed", "succeeded", "handed over"],
)
async def test_an_agent_whose_authority_is_gone_does_not_say_how_its_run_ended(
    way: str, path: str, said: dict[str, Any]
) -> None:
    async with governed() as (world, _):
        await world.call("credit", {"amount": 5}, "c1")
        change, reason = WAYS[way]
        change(world.cluster)
        await eventually_async(lambda: refusal(world), lambda told: told == reason)
        status, answer, _ = await world.post(path, said)
        assert (status, answer["reason"]) == (200, "Revoked")
        told = await final_status(world)
        assert told["outcome"]["reason"] == "Revoked"


async def test_a_result_that_ended_its_run_is_accepted_again_when_authority_went_since() -> None:
    good = {"outcome": "Succeeded", "stop": "Answered", "result": {"decision": "credit"}}
    async with governed() as (world, _):
        await world.post("/run/v1/result", good)
        WAYS["agent suspended"][0](world.cluster)
        await eventually_async(lambda: is_suspended(world))
        assert (await world.post("/run/v1/result", good))[1] == {"accepted": True, "reason": "Succeeded"}


async def test_a_result_that_came_too_late_is_not_accepted() -> None:
    good = {"outcome": "Succeeded", "stop": "Answered", "result": {"decision": "credit"}}
    async with governed() as (world, _):
        change, reason = WAYS["agent suspended"]
        change(world.cluster)
        await eventually_async(lambda: refusal(world), lambda told: told == reason)
        assert (await world.post("/run/v1/result", good))[1] == {"accepted": False, "reason": "Revoked"}
