"""What cases have in common: acting as those whom admission lets, and waiting for what must come back."""

from collections.abc import Mapping
from typing import Any

from campaigns.world.direct import MERGE, path_of
from campaigns.world.stage import World
from remit.core.conditions import find_condition

CLEANER = "system:serviceaccount:kube-system:namespace-controller"
CONTROLLER = "system:serviceaccount:remit-system:remit-controller"
GATEWAY = "system:serviceaccount:remit-system:remit-gateway"
CHILD = "remit-agent-teller"
DENY = "remit-sandbox-deny"


async def edit(world: World, kind: str, name: str, change: Any, *, user: str) -> int:
    """Try to change an object; returns the code."""
    path = path_of(kind, world.namespace, name)
    code, _ = await world.stage.direct.send("PATCH", path, change, kind=MERGE, user=user)
    return code


async def changed(world: World, kind: str, name: str, change: Any, *, user: str = CONTROLLER, part: str = "") -> int:
    """Change an object as one of ours, whom admission lets: a case that changes nothing would show nothing.

    Returns the version that it has then: what must come back has a later one.
    """
    path = path_of(kind, world.namespace, name) + (f"/{part}" if part else "")
    return version_of(await world.stage.direct.must("PATCH", path, change, kind=MERGE, user=user))


def version_of(thing: Mapping[str, Any] | None) -> int:
    """Return an object's version; 0 when it is not there."""
    return int(((thing or {}).get("metadata") or {}).get("resourceVersion", 0))


def uid(world: World, kind: str, name: str) -> str:
    """Return the UID of an object, empty when it is not there."""
    return str(((world.get(kind, name) or {}).get("metadata") or {}).get("uid", ""))


def message(world: World, name: str = "work", kind: str = "AgentRun") -> str:
    """Return the message of an object's leading condition."""
    conditions = ((world.get(kind, name) or {}).get("status") or {}).get("conditions") or ()
    return str((find_condition(conditions, "Ready") or {}).get("message", ""))


async def says(world: World, words: str, name: str = "work") -> None:
    """Wait until a run says so."""
    await world.until(lambda: words in message(world, name), f"run {name} says {words!r}, not {message(world, name)!r}")


def pods_ever(world: World) -> int:
    """Return how many pods there have been."""
    return len(world.stage.observer.lives["Pod", world.namespace])
