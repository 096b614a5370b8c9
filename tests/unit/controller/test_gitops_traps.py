"""What GitOps tools do to objects, and what must not come of it: tracking marks, late changes, deletions."""

from typing import Any

import pytest
from tests.support.controlled import AGENT, RUN, Controlled, a_team
from tests.support.objects import a_run

TRACKING = {
    "labels": {
        "app.kubernetes.io/instance": "disputes",
        "argocd.argoproj.io/instance": "disputes",
        "kustomize.toolkit.fluxcd.io/name": "disputes",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    },
    "annotations": {
        "argocd.argoproj.io/tracking-id": "disputes:remit.dev/AgentRun:bank/dispute-1",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    },
}
MARKS = {key for group in TRACKING.values() for key in group}


def tracked(thing: dict[str, Any]) -> dict[str, Any]:
    """Return the object as Argo CD or Flux apply it."""
    metadata = thing["metadata"]
    marks = {group: {**metadata.get(group, {}), **found} for group, found in TRACKING.items()}
    return {**thing, "metadata": {**metadata, **marks}}


async def test_no_child_inherits_the_marks_by_which_argo_and_flux_know_their_own() -> None:
    team = await a_team()
    team.cluster.put(tracked(dict(team.cluster.objects[AGENT])))
    await team.apply(tracked(a_run()))

    for (kind, _, name), thing in team.cluster.objects.items():
        if kind not in {"Agent", "AgentRun"}:
            metadata = thing["metadata"]
            assert not MARKS & {*metadata.get("labels", {}), *metadata.get("annotations", {})}, f"{kind} {name}"


async def finished() -> Controlled:
    team = await a_team()
    await team.apply(a_run())
    await team.say(RUN, outcome={"reason": "Succeeded", "message": "the agent handed in its result"})
    assert team.condition(RUN, "Finished")["status"] == "True"
    return team


@pytest.mark.parametrize("change", [{"ttlSecondsAfterFinished": 60}, {"desired": "Terminated"}], ids=["ttl", "desired"])
async def test_a_finished_run_that_git_changes_is_looked_at_again_and_stays_finished(change: dict[str, Any]) -> None:
    team = await finished()
    before = team.status()
    await team.change(RUN, **change)

    assert team.status()["observedGeneration"] == team.cluster.objects[RUN]["metadata"]["generation"] == 2
    assert (team.status()["reason"], team.status()["finishedAt"]) == ("Succeeded", before["finishedAt"])
    messages = {entry["message"] for entry in team.status()["conditions"]}
    assert messages == {"the agent handed in its result"}
