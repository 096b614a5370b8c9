"""A team whose agent has a pool of pods that stand ready, and a kubelet that starts what is made."""

from tests.support.controlled import Controlled, a_team
from tests.support.fake_cluster import Object, Place
from tests.support.objects import NAMESPACE, an_agent

from remit.api.names import LABEL_WARM
from remit.controller.agents import COUNT_SECONDS

READY = {
    "phase": "Running",
    "podIPs": [{"ip": "10.0.0.1"}],
    "startTime": "2026-11-21T12:00:00Z",
    "conditions": [{"type": "Ready", "status": "True"}],
}


def all_pods(team: Controlled) -> list[Object]:
    """Return every pod of the namespace."""
    return [thing for (kind, _, _), thing in sorted(team.cluster.objects.items()) if kind == "Pod"]


def warm_pods(team: Controlled) -> list[Object]:
    """Return the pods that nobody has claimed."""
    return [pod for pod in all_pods(team) if LABEL_WARM in pod["metadata"]["labels"]]


def place_of_pod(pod: Object) -> Place:
    """Return where a pod is stored."""
    return ("Pod", NAMESPACE, str(pod["metadata"]["name"]))


async def start_pods(team: Controlled) -> None:
    """Start every pod that waits for its kubelet, until nothing more is made."""
    while waiting := [pod for pod in all_pods(team) if "phase" not in pod.get("status", {})]:
        for pod in waiting:
            await team.say(place_of_pod(pod), **READY)


async def a_pool(replicas: int = 2) -> Controlled:
    """Return a team with a pool that is full, and counted in its agent's status."""
    team = await a_team()
    await team.apply(an_agent(warm={"replicas": replicas}))
    await start_pods(team)
    assert len(warm_pods(team)) == replicas
    await team.later(COUNT_SECONDS)
    return team
