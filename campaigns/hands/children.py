"""Children and statuses deleted, edited, stripped."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from campaigns.hands.acts import (
    CHILD,
    CLEANER,
    CONTROLLER,
    DENY,
    GATEWAY,
    changed,
    edit,
    pods_ever,
    uid,
    version_of,
)
from campaigns.world.stage import World
from remit.core.plan import is_leaving

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
    """The child is edited, by our own account, for admission lets nobody else: it becomes what it was."""

    async def play(world: World) -> None:
        before = plain(world, kind, name)
        at = await changed(world, kind, name, change)
        await world.until(
            lambda: version_of(world.get(kind, name)) > at and plain(world, kind, name) == before,
            f"{kind} {name} is as it was",
        )
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
    await wiped(world, "AgentRun", "work", ("reason", "pod", "revision", "startedAt"), stands="Running")
    await still_runs(world)
    assert uid(world, "Pod", "work-1") == before


def status_wiped(kind: str, name: str, user: str = "") -> Play:
    """The object says where it stands again."""

    async def play(world: World) -> None:
        await wiped(world, kind, name, ("enforced",) if user else (), **({"user": user} if user else {}))
        await still_runs(world)

    return play


async def wiped(world: World, kind: str, name: str, more: Sequence[str], *, stands: str = "Ready", **who: str) -> None:
    """The conditions are wiped, and more of the status: it says the same again."""
    change = {"status": dict.fromkeys(("conditions", "observedGeneration", *more))}
    at = await changed(world, kind, name, change, part="status", **who)
    await world.until(
        lambda: version_of(world.get(kind, name)) > at and world.reason(kind, name) == stands,
        f"{kind} {name} says where it stands again",
    )


async def deny_deleted(world: World) -> None:
    """The standing policy stays as long as there is a sandbox, and comes back when there is none."""
    before = uid(world, "NetworkPolicy", DENY)
    await world.stage.direct.delete_as(CLEANER, "NetworkPolicy", world.namespace, DENY)
    await world.until(lambda: is_leaving(world.get("NetworkPolicy", DENY) or {"metadata": {}}), "the deletion is seen")
    await still_runs(world)
    assert uid(world, "NetworkPolicy", DENY) == before
    await world.patch("AgentRun", "work", {"spec": {"desired": "Terminated"}})
    await world.until(lambda: not world.within("Pod"), "the pod is gone")
    await world.until(lambda: uid(world, "NetworkPolicy", DENY) not in {"", before}, "another standing policy")


def refused(kind: str, name: str, change: Any, user: str = "") -> Play:
    """Admission refuses it, to an administrator or to whom else is named: nothing changes."""

    async def play(world: World) -> None:
        code = await edit(world, kind, name, change, user=user)
        assert code in {403, 422}, f"it is let through: {code}"
        await still_runs(world)

    return play


CHILDREN: dict[str, Play] = {
    "the agent's NetworkPolicy is deleted": deleted("NetworkPolicy", CHILD),
    "the agent's NetworkPolicy is edited": refused("NetworkPolicy", CHILD, OPEN, CONTROLLER),
    "the agent's NetworkPolicy loses its labels": edited("NetworkPolicy", CHILD, NO_LABELS),
    "the agent's NetworkPolicy loses its owner": edited(
        "NetworkPolicy", CHILD, {"metadata": {"ownerReferences": None}}
    ),
    "the standing policy is deleted": deny_deleted,
    "the standing policy is opened": refused("NetworkPolicy", DENY, OPEN, CONTROLLER),
    "the standing policy loses its finalizer": refused(
        "NetworkPolicy", DENY, {"metadata": {"finalizers": None}}, CONTROLLER
    ),
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
