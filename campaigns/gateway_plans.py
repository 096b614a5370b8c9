"""Fault plans for the gateway: the same faults at each of its writes, with a real gateway process and its ledger.

The agents are played: they hand their results in at the gateway, from their pods' addresses, with their pods' tokens.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.objects import a_grant, a_policy, a_run, an_agent

from campaigns.plans import Reference, choose, play_each, settle, show
from campaigns.proxy.plan import AT_VIEW, AT_WRITE, NOTHING, Fault, Plan
from campaigns.runner import Arguments, logs
from campaigns.world.direct import DirectError
from campaigns.world.gateways import Gateway, post, with_gateway
from campaigns.world.judge import judge
from campaigns.world.plane import Plane, plane
from campaigns.world.stage import NotInTimeError, Stage, World, stage
from campaigns.world.state import difference
from remit.api.wire import RESULT_PATH

DONE = {"outcome": "Succeeded", "result": {"answer": "refunded"}, "stop": "Finished"}
NOT_DONE = {"outcome": "Failed", "message": "no such account", "stop": "Finished"}


async def work(world: World, gateway: Gateway) -> None:
    """An agent, two runs that hand in how they ended, a grant taken back and given again."""
    await world.create(a_policy(), a_grant(), an_agent())
    await world.stands("ToolGrant", "provider", "Ready")
    await world.stands("Policy", "rules", "Ready")
    await world.stands("Agent", "teller", "Ready")
    await world.create(*(a_run(name, ttlSecondsAfterFinished=0) for name in ("good", "bad", "taken")))
    for name in ("good", "bad", "taken"):
        await world.stands("AgentRun", name, "Running")
    await post(gateway, "good", RESULT_PATH, DONE)
    await post(gateway, "bad", RESULT_PATH, NOT_DONE)
    await world.stands("AgentRun", "good", "Succeeded")
    await world.stands("AgentRun", "bad", "Failed")
    await world.patch("ToolGrant", "provider", {"spec": {"suspended": True}})
    await world.stands("ToolGrant", "provider", "Suspended")
    await world.stands("AgentRun", "taken", "Revoked")
    await world.patch("ToolGrant", "provider", {"spec": {"suspended": False}})
    await world.stands("ToolGrant", "provider", "Ready")
    await world.stands("Agent", "teller", "Ready")
    await world.until(lambda: not world.within("Pod"), "pods of ended runs are gone")


async def main(arguments: Arguments) -> int:
    """Make the plans and play them all."""
    with plane() as control_plane:
        return await on(control_plane, arguments)


async def on(control_plane: Plane, arguments: Arguments) -> int:
    """Play on this control plane; returns the violations."""
    async with stage(control_plane, logs("gateway-plans")) as the_stage:
        usual = await record(the_stage)
        print(f"reference: {len(usual.trace)} writes of the gateway")
        plans = [] if arguments.prove else choose(usual.trace, arguments, dict.fromkeys((*AT_WRITE, *AT_VIEW), 1))
        count = await play_each(plans, lambda plan: play(the_stage, plan, usual), arguments)
        show(count, arguments)
        missed = [] if arguments.short else await prove(the_stage, usual, random.Random(arguments.seed))
    return len(count.violations) + len(missed)


@asynccontextmanager
async def governed(the_stage: Stage, plan: Plan, plant: str = "") -> AsyncIterator[tuple[World, Gateway]]:
    """A world with a gateway that meets the plan."""
    async with the_stage.world(NOTHING) as world, with_gateway(world, plan, plant=plant) as gateway:
        yield world, gateway


async def record(the_stage: Stage) -> Reference:
    """Play twice without faults; what differs is nothing to compare with."""
    plays = []
    for _ in range(2):
        async with governed(the_stage, NOTHING) as (world, gateway):
            await work(world, gateway)
            await settle(world)
            if found := judge(world, 0):
                raise NotInTimeError(f"without faults: {found}")
            plays.append(Reference(world.state(), list(gateway.gate.trace)))
    if differs := difference(plays[0].state, plays[1].state):
        raise NotInTimeError(f"two plays without faults differ: {differs}")
    return Reference(plays[0].state, [write for write in plays[0].trace if write in set(plays[1].trace)])


async def play(the_stage: Stage, plan: Plan, usual: Reference, *, plant: str = "") -> tuple[list[str], bool]:
    """Play one plan; returns what was wrong, and whether its write came."""
    async with governed(the_stage, plan, plant) as (world, gateway):
        if plant:
            world.patience = 12.0
        found: list[str] = []
        try:
            await work(world, gateway)
            await world.until(lambda: not difference(usual.state, world.state()), "the state of the reference")
        except (NotInTimeError, DirectError) as error:
            found.append(f"{error}; {difference(usual.state, world.state())}"[:900])
        return found + judge(world, 0), gateway.gate.is_done


PROOF = {
    "gateway-mute": (Fault.NONE, ""),
    "gateway-gives-up": (Fault.SERVER_ERROR, "apply"),
    "gateway-forgets-the-end": (Fault.KILLED_BEFORE, "apply agentruns/status"),
    "gateway-takes-refusal-for-done": (Fault.TOO_MANY, "apply"),
    "gateway-deaf": (Fault.GONE, "apply policies/status"),
}
"""Planted bugs, each with the faults that must bring it to light."""


async def prove(the_stage: Stage, usual: Reference, chance: random.Random) -> list[str]:
    """Plant one bug at a time; returns those that no play caught."""
    missed = []
    for name, (fault, beginning) in PROOF.items():
        writes = [write for write in usual.trace if write.name.startswith(beginning)]
        caught = ""
        for write in chance.sample(writes, min(4, len(writes))):
            found, _ = await play(the_stage, Plan(fault, write), usual, plant=name)
            caught = caught or (f"{fault} at {write.name}: {found[0]}" if found else "")
            if caught:
                break
        print(f"planted {name}: {f'caught, {caught[:160]}' if caught else 'NOT CAUGHT'}", flush=True)
        missed += [] if caught else [name]
    print(f"planted bugs caught: {len(PROOF) - len(missed)} of {len(PROOF)}")
    return missed
