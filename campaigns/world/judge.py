"""What no play may show, whatever the faults: judged from what was seen straight, and from the program's own log."""

from collections import Counter

from campaigns.world.observer import Life, uncovered
from campaigns.world.stage import World
from remit.api.names import DENY_POLICY, LABEL_SANDBOX

WRITES_FOLD, WRITES_MORE = 2, 40
"""How many writes a play with faults may take: so many times the reference's, and some."""


def judge(world: World, usual_writes: int) -> list[str]:
    """Return all that is wrong with what a world showed from its beginning to now."""
    observer, namespace = world.stage.observer, world.namespace
    pods = [life for life in observer.lives["Pod", namespace].values() if is_sandbox(life)]
    policies = observer.lives["NetworkPolicy", namespace].values()
    found = uncovered(pods, policies, DENY_POLICY) + doubles(world, pods) + list(observer.faults[namespace])
    for program in world.programs:
        found += program.complaints()
        if not program.is_alive:
            found.append("the program ended by itself")
    if usual_writes and world.gate.writes > WRITES_FOLD * usual_writes + WRITES_MORE:
        found.append(f"{world.gate.writes} writes, where {usual_writes} are usual")
    return list(dict.fromkeys(found))


def is_sandbox(life: Life) -> bool:
    """Tell whether a pod is a sandbox."""
    return LABEL_SANDBOX in (life.thing["metadata"].get("labels") or {})


def doubles(world: World, pods: list[Life]) -> list[str]:
    """Return the runs that had more pods than tries."""
    owners = Counter(str(owner["uid"]) for life in pods for owner in life.thing["metadata"].get("ownerReferences", ()))
    found = []
    for uid, count in owners.items():
        run = world.stage.observer.lives["AgentRun", world.namespace].get(uid)
        tries = len(((run.thing.get("status") or {}).get("tries") or ()) if run else ())
        if run is not None and count > 1 + tries:
            found.append(f"run {run.thing['metadata']['name']} had {count} pods in {1 + tries} tries")
    return found
