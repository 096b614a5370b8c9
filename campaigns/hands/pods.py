"""What befalls a pod: deleted, evicted, out of memory, nowhere to go, no image, no quota."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.objects import a_run

from campaigns.hands.acts import message, pods_ever, says
from campaigns.world.direct import path_of
from campaigns.world.players import ended, running
from campaigns.world.stage import World

Play = Callable[[World], Awaitable[None]]
Object = dict[str, Any]
QUOTA = "no-pods"


async def deleted(world: World) -> None:
    """Somebody deletes it: the run has failed, and says why."""
    await world.delete("Pod", "work-1", gracePeriodSeconds=0)
    await world.stands("AgentRun", "work", "Failed")
    assert "pod" in message(world), message(world)


async def deleted_and_tried_again(world: World) -> None:
    """A run that may be tried again gets another pod."""
    await world.create(a_run("again", retry={"limit": 1, "backoffSeconds": 1}))
    await world.stands("AgentRun", "again", "Running")
    first = (world.pod_of("again") or {})["metadata"]
    await world.delete("Pod", first["name"], gracePeriodSeconds=0)
    await world.until(
        lambda: (world.pod_of("again") or {"metadata": first})["metadata"]["uid"] != first["uid"], "another pod"
    )
    await world.stands("AgentRun", "again", "Running")
    tries = ((world.get("AgentRun", "again") or {}).get("status") or {}).get("tries") or []
    assert len(tries) == 1, tries


def ends(status: Object, words: str) -> Play:
    """The pod ends like that: the run has failed, and says so."""

    async def play(world: World) -> None:
        await world.stage.players.set_pod(world.pod_of("work") or {}, status)
        await world.stands("AgentRun", "work", "Failed")
        assert words in message(world), message(world)

    return play


def hangs(status: Object, words: str) -> Play:
    """The pod does not start: the run says why, and goes on when it does."""

    async def play(world: World) -> None:
        world.stage.players.quiet.add(world.namespace)
        await world.create(a_run("slow"))
        await world.stands("AgentRun", "slow", "Starting")
        await world.stage.players.set_pod(world.pod_of("slow") or {}, status)
        await says(world, words, "slow")
        assert world.reason("AgentRun", "slow") == "Starting"
        await world.stage.players.set_pod(world.pod_of("slow") or {}, running())
        await world.stands("AgentRun", "slow", "Running")

    return play


async def node_gone(world: World) -> None:
    """The node is lost: its pod is taken away without a word of its own."""
    await world.stage.players.set_pod(world.pod_of("work") or {}, {"phase": "Unknown", "reason": "NodeLost"})
    await world.delete("Pod", "work-1", gracePeriodSeconds=0)
    await world.stands("AgentRun", "work", "Failed")
    assert "node was lost" in message(world)


async def no_quota(world: World) -> None:
    """The namespace's quota is used up: the run says so, and starts when there is room."""
    path = path_of("ResourceQuota", world.namespace)
    hard = {"hard": {"pods": "1"}}
    await world.stage.direct.must("POST", path, {"metadata": {"name": QUOTA}, "spec": hard})
    await world.patch("ResourceQuota", QUOTA, {"status": {**hard, "used": {"pods": "1"}}}, part="status")
    await world.create(a_run("crowded"))
    await says(world, "quota", "crowded")
    assert world.reason("AgentRun", "crowded") == "Pending"
    await world.delete("ResourceQuota", QUOTA)
    await world.stands("AgentRun", "crowded", "Running")


async def in_the_way(world: World) -> None:
    """Somebody's pod has the name: it is left alone and said; when it goes, the run starts."""
    container = {"name": "c", "image": "remit.dev/none:1"}
    pod = {"metadata": {"name": "taken-1"}, "spec": {"containers": [container]}}
    await world.stage.direct.must("POST", path_of("Pod", world.namespace), pod)
    await world.create(a_run("taken"))
    await says(world, "in the way", "taken")
    await world.delete("Pod", "taken-1", gracePeriodSeconds=0)
    await world.stands("AgentRun", "taken", "Running")


async def run_deleted(world: World) -> None:
    """The run is deleted under way: its pod goes with it."""
    await world.delete("AgentRun", "work")
    await world.until(lambda: not world.within("Pod"), "the pod is gone")


async def agent_deleted(world: World) -> None:
    """The agent is deleted under way: the run is revoked, its pod goes."""
    await world.delete("Agent", "teller")
    await world.stands("AgentRun", "work", "Revoked")
    await world.until(lambda: not world.within("Pod"), "the pod is gone")
    assert pods_ever(world) == 1


UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
    ],
}
NO_IMAGE = {
    "phase": "Pending",
    "containerStatuses": [
        {
            "name": "harness",
            "image": "remit.dev/harness:1",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        }
    ],
}
OOM = ended(code=137)
OOM["containerStatuses"][0]["state"]["terminated"]["reason"] = "OOMKilled"
EVICTED = ended(reason="Evicted", message="The node was low on resource: memory.")

PODS: dict[str, Play] = {
    "the pod is deleted": deleted,
    "the pod is deleted and may be tried again": deleted_and_tried_again,
    "the pod is evicted": ends(EVICTED, "Evicted"),
    "the pod runs out of memory": ends(OOM, "OOMKilled"),
    "no node has room": hangs(UNSCHEDULABLE, "no node has room for the pod"),
    "the image is missing": hangs(NO_IMAGE, "cannot be pulled"),
    "the node is gone": node_gone,
    "no quota for the pod": no_quota,
    "another pod has the name": in_the_way,
    "the run is deleted": run_deleted,
    "the agent is deleted": agent_deleted,
}
