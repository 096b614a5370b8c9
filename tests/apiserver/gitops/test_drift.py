"""What Git said and what stands there: no tool sees a difference, though admission stamps who asked for a run."""

from typing import Any

import pytest
import yaml
from tests.apiserver.crds.test_kinds import SPECS
from tests.support.kube import Kube

from remit.api.kinds import AGENT_RUN, KINDS
from remit.cluster import Cluster

PLURALS = {kind.name: kind.plural for kind in KINDS}


def manifest(kind: str, namespace: str, name: str) -> dict[str, Any]:
    """Return an object as a file in Git would say it."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "remit.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": SPECS[kind]}


def apply(kube: Kube, thing: dict[str, Any], *, dry: bool = False, manager: str = "argocd-controller") -> Any:
    """Server-side apply, as Argo CD, Flux and kubectl do it."""
    metadata = thing["metadata"]
    path = f"/apis/remit.dev/v1alpha1/namespaces/{metadata['namespace']}/{PLURALS[thing['kind']]}/{metadata['name']}"
    query = f"fieldManager={manager}&force=true" + ("&dryRun=All" if dry else "")
    answer = kube.send("PATCH", f"{path}?{query}", thing, kind="application/apply-patch+yaml")
    assert answer.code in {200, 201}, answer.message
    return answer.body


def without_fields(thing: dict[str, Any]) -> dict[str, Any]:
    """Return an object without the books of who wrote what."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "managedFields"}
    return {**thing, "metadata": metadata}


@pytest.mark.parametrize("kind", PLURALS)
@pytest.mark.parametrize("manager", ["argocd-controller", "kustomize-controller"])
def test_applying_the_same_again_changes_nothing(kube: Kube, namespace: str, kind: str, manager: str) -> None:
    thing = manifest(kind, namespace, f"{kind.lower()}-{manager}")
    first = apply(kube, thing, manager=manager)
    again = apply(kube, thing, manager=manager, dry=True)

    assert without_fields(again) == without_fields(first)
    if kind == AGENT_RUN.name:
        assert "username" in again["spec"]["requester"]


@pytest.mark.parametrize("kind", PLURALS)
@pytest.mark.parametrize("side", [["--server-side", "--force-conflicts"], []], ids=["server", "client"])
def test_kubectl_diff_finds_nothing(cluster: Cluster, namespace: str, kind: str, side: list[str]) -> None:
    given = yaml.safe_dump(manifest(kind, namespace, f"{kind.lower()}-diff-{'server' if side else 'client'}"))
    cluster.kubectl("apply", *side, "-f", "-", given=given)

    assert cluster.kubectl("diff", *side, "-f", "-", given=given) == ""


def test_a_requester_that_git_names_is_not_believed_and_fails_the_next_sync(kube: Kube, namespace: str) -> None:
    thing = manifest(AGENT_RUN.name, namespace, "forged")
    thing["spec"] = {**thing["spec"], "requester": {"username": "somebody-else"}}
    path = f"/apis/remit.dev/v1alpha1/namespaces/{namespace}/agentruns/forged?fieldManager=argocd-controller&force=true"

    assert apply(kube, thing)["spec"]["requester"]["username"] != "somebody-else"
    again = kube.send("PATCH", path, thing, kind="application/apply-patch+yaml")
    assert again.code == 422
    assert "requester must not change" in again.message
