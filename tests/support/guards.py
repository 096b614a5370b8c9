"""Waits until admission policies act on a real apiserver: one that is new refuses too much, or too little, at first."""

from tests.support.kube import Answer, Kube
from tests.support.objects import an_agent
from tests.support.polling import eventually

from remit.api.meta import API_VERSION
from remit.api.names import LABEL_SANDBOX

REMIT = "/apis/remit.dev/v1alpha1/namespaces/default"
CONTAINER = {"name": "agent", "image": "remit.dev/none:1"}


def until_guards_stand(kube: Kube) -> None:
    """Wait until what is wrong is refused, and what is right is let in.

    An apiserver finds the kinds that its policies ask about every 30 s, and refuses until then.
    """
    eventually(lambda: stamps(kube), within_seconds=60, why="a run has its requester from admission alone")
    pod = {"metadata": {"name": "probe", "labels": {LABEL_SANDBOX: "harness"}}, "spec": {"containers": [CONTAINER]}}
    eventually(
        lambda: "remit-sandbox-pods" in tried(kube, "/api/v1/namespaces/default/pods", pod).message,
        within_seconds=60,
        why="a pod that only looks like a sandbox is refused",
    )
    agent = {**an_agent("probe"), "metadata": {"name": "probe"}}
    eventually(
        lambda: tried(kube, f"{REMIT}/agents", agent),
        lambda answer: answer.code == 201,
        within_seconds=60,
        why="an agent is let in",
    )


def stamps(kube: Kube) -> bool:
    """Tell whether a run gets its requester; where the apiserver cannot write it, whether a forged one is refused."""
    forged = {} if kube.stamps else {"requester": {"username": "somebody else"}}
    run = {"apiVersion": API_VERSION, "kind": "AgentRun", "metadata": {"name": "probe"}}
    made = tried(kube, f"{REMIT}/agentruns", {**run, "spec": {"agent": "a", "purpose": "p", **forged}})
    return "requester" in made.body.get("spec", {}) if kube.stamps else "remit-run-requester" in made.message


def tried(kube: Kube, path: str, body: dict[str, object]) -> Answer:
    """Create an object that nobody keeps."""
    return kube.send("POST", f"{path}?dryRun=All", body)
