"""The reference work of a small team: an agent, its grants and policy, and runs that end in every ordinary way.

Each step waits for its effect, so that every play of it passes through the same states.
"""

from tests.support.objects import a_grant, a_policy, a_run, an_agent

from campaigns.world.players import ended
from campaigns.world.stage import World

TOOL = {
    "name": "look",
    "risk": "ReadOnly",
    "inputSchema": {"type": "object"},
    "constraints": [],
}
EVICTED = "The node was low on resource: memory."


async def reference(world: World) -> None:
    """Play it all."""
    await begin(world)
    await end_runs(world)
    await change_rules(world)
    await take_back(world)


async def begin(world: World) -> None:
    """An agent becomes ready, and three runs start under it."""
    await world.create(a_policy(), a_grant(), an_agent())
    await world.stands("Agent", "teller", "Ready")
    await world.create(*(a_run(name, ttlSecondsAfterFinished=0) for name in ("done", "ended", "lost")))
    for name in ("done", "ended", "lost"):
        await world.stands("AgentRun", name, "Running")


async def end_runs(world: World) -> None:
    """One hands in its result, one is terminated, one loses its pod to the node."""
    await world.say("done", outcome={"reason": "Succeeded", "message": "refunded"}, usage={"toolCalls": 2})
    await world.patch("AgentRun", "ended", {"spec": {"desired": "Terminated"}})
    pod = world.pod_of("lost")
    if pod is not None:
        await world.stage.players.set_pod(pod, ended(reason="Evicted", message=EVICTED))
    await world.stands("AgentRun", "done", "Succeeded")
    await world.stands("AgentRun", "ended", "Cancelled")
    await world.stands("AgentRun", "lost", "Failed")
    await world.until(lambda: not world.within("Pod"), "pods of ended runs are gone")


async def change_rules(world: World) -> None:
    """A further grant makes another revision; what starts then is pinned to it."""
    old = revision(world)
    upstream = {"mcp": {"url": "http://core.example/mcp"}}
    await world.create(a_grant("core", upstream=upstream, tools=[TOOL]))
    await world.until(lambda: revision(world) != old, "another revision is in force")
    await world.stands("Agent", "teller", "Ready")
    await world.create(a_run("late", ttlSecondsAfterFinished=0), a_run("stopped", ttlSecondsAfterFinished=0))
    await world.stands("AgentRun", "late", "Running")
    await world.stands("AgentRun", "stopped", "Running")
    await world.patch("AgentRun", "stopped", {"spec": {"desired": "Stopped"}})
    await world.stands("AgentRun", "stopped", "Cancelled")


async def take_back(world: World) -> None:
    """The agent is suspended under way, and set free again; a run is deleted."""
    await world.patch("Agent", "teller", {"spec": {"lifecycle": "Suspended"}})
    await world.stands("AgentRun", "late", "Revoked")
    await world.stands("Agent", "teller", "Suspended")
    await world.until(lambda: not world.within("Pod"), "no pod is left")
    await world.patch("Agent", "teller", {"spec": {"lifecycle": "Active"}})
    await world.stands("Agent", "teller", "Ready")
    await world.create(a_run("last"))
    await world.stands("AgentRun", "last", "Running")
    await world.delete("AgentRun", "done")
    await world.until(lambda: world.get("AgentRun", "done") is None, "the run is gone")


def revision(world: World) -> str:
    """Return the name of the agent's revision in force."""
    agent = world.get("Agent", "teller") or {}
    return str(((agent.get("status") or {}).get("revision") or {}).get("name", ""))
