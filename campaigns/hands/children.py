"""Children and statuses deleted, edited, stripped."""

from collections.abc import Awaitable, Callable
from typing import Any

from campaigns.hands.acts import CHILD, CLEANER, DENY, GATEWAY, edit, pods_ever, uid
from campaigns.world.stage import World

Play = Callable[[World], Awaitable[None]]
OPEN = {"spec": {"egress": [{}], "policyTypes": ["Egress"]}}
NO_LABELS = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}


def deleted(kind: str, name: str) -> Play:
    """The child is deleted: it is made anew, and the run goes on."""

    async def play(world: World) -> None:
        which = name or next(
            thing["metadata"]["name"]
            for thing in world.within(kind)
            if thing["metadata"]["name"].startswith("remit-agent-")
        )
        before = uid(world, kind, which)
        await world.stage.direct.delete_as(CLEANER, kind, world.namespace, which)
        await world.until(lambda: uid(world, kind, which) not in {"", before}, f"another {kind} {which}")
        await still_runs(world)

    return play


def edited(kind: str, name: str, change: Any) -> Play:
    """The child is edited: admission refuses it even to our own account, or it becomes what it was."""

    async def play(world: World) -> None:
        before = plain(world, kind, name)
        if await edit(world, kind, name, change) < 300:
            await world.until(lambda: plain(world, kind, name) != before, "the edit is seen")
        await world.until(lambda: plain(world, kind, name) == before, f"{kind} {name} is as it was")
        await still_runs(world)

    return play


def plain(world: World, kind: str, name: str) -> Any:
    """Return what of a child must come back."""
    thing = world.get(kind, name) or {}
    metadata = thing.get("metadata") or {}
    kept = {part: metadata.get(part) for part in ("labels", "ownerReferences", "finalizers")}
    return {**kept, "spec": thing.get("spec")}


async def still_runs(world: World) -> None:
    """The run under way was not harmed, and has its only pod."""
    await world.stands("AgentRun", "work", "Running")
    assert pods_ever(world) == 1, "the run has another pod"


async def run_status_wiped(world: World) -> None:
    """The run adopts its pod again."""
    before = uid(world, "Pod", "work-1")
    fields = ("conditions", "reason", "pod", "revision", "startedAt", "observedGeneration")
    change = {"status": dict.fromkeys(fields)}
    assert await edit(world, "AgentRun", "work", change, part="status") < 300
    await world.until(lambda: world.reason("AgentRun", "work") == "Running", "the run says where it stands again")
    await still_runs(world)
    assert uid(world, "Pod", "work-1") == before


def status_wiped(kind: str, name: str, user: str = "") -> Play:
    """The object says where it stands again."""

    async def play(world: World) -> None:
        fields = ("conditions", "observedGeneration", *(("enforced",) if user else ()))
        change = {"status": dict.fromkeys(fields)}
        assert await edit(world, kind, name, change, part="status", **({"user": user} if user else {})) < 300
        await world.stands(kind, name, "Ready")
        await still_runs(world)

    return play


async def deny_deleted(world: World) -> None:
    """The standing policy stays as long as there is a sandbox, and comes back when there is none."""
    before = uid(world, "NetworkPolicy", DENY)
    await world.stage.direct.delete_as(CLEANER, "NetworkPolicy", world.namespace, DENY)
    await still_runs(world)
    assert uid(world, "NetworkPolicy", DENY) == before
    await world.patch("AgentRun", "work", {"spec": {"desired": "Terminated"}})
    await world.until(lambda: not world.within("Pod"), "the pod is gone")
    await world.until(lambda: uid(world, "NetworkPolicy", DENY) not in {"", before}, "another standing policy")


def refused(kind: str, name: str, change: Any) -> Play:
    """Nobody but the controller may: admission refuses it, and nothing changes."""

    async def play(world: World) -> None:
        code = await edit(world, kind, name, change, user="")
        assert code in {403, 422}, f"it is let through: {code}"
        await still_runs(world)

    return play


CHILDREN: dict[str, Play] = {
    "the agent's NetworkPolicy is deleted": deleted("NetworkPolicy", CHILD),
    "the agent's NetworkPolicy is edited": edited("NetworkPolicy", CHILD, OPEN),
    "the agent's NetworkPolicy loses its labels": edited("NetworkPolicy", CHILD, NO_LABELS),
    "the agent's NetworkPolicy loses its owner": edited(
        "NetworkPolicy", CHILD, {"metadata": {"ownerReferences": None}}
    ),
    "the standing policy is deleted": deny_deleted,
    "the standing policy is opened": edited("NetworkPolicy", DENY, OPEN),
    "the standing policy loses its finalizer": edited("NetworkPolicy", DENY, {"metadata": {"finalizers": None}}),
    "the agent's account is deleted": deleted("ServiceAccount", CHILD),
    "the agent's account loses its labels": edited("ServiceAccount", CHILD, NO_LABELS),
    "the revision in force is deleted": deleted("ControllerRevision", ""),
    "the run's status is wiped": run_status_wiped,
    "the agent's status is wiped": status_wiped("Agent", "teller"),
    "the grant's status is wiped": status_wiped("ToolGrant", "provider"),
    "the gateway's word on a policy is wiped": status_wiped("Policy", "rules", GATEWAY),
    "the pod's sandbox label is taken away": refused(
        "Pod", "work-1", {"metadata": {"labels": {"remit.dev/sandbox": None}}}
    ),
    "the pod's owner is taken away": refused("Pod", "work-1", {"metadata": {"ownerReferences": None}}),
    "a tenant edits the agent's NetworkPolicy": refused("NetworkPolicy", CHILD, OPEN),
}
