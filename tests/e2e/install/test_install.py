"""`remit install` and `remit uninstall`: what they make, what they keep, what they say."""

import base64
import json
from typing import Any

import pytest
import yaml
from tests.support.polling import eventually

from remit.adapters.signing import parse_signing_key
from remit.cli import install as installing
from remit.cli.install import Images, InstallError, install, uninstall
from remit.cluster import Cluster
from remit.core.children import standing_deny

ABSENT = Images(*("remit.dev/NONE:1",) * 3)
"""No valid name, so that no node tries to pull it."""
AGENT = """
apiVersion: remit.dev/v1alpha1
kind: Agent
metadata: {name: kept, namespace: default}
spec:
  owner: somebody
  purposes: [testing]
  runtime: {harness: {}}
  instructions: {inline: Wait.}
  model: {grant: provider, name: model}
"""


def put(cluster: Cluster, *, wait: bool = False) -> list[str]:
    """Install with images that are not there; return what was said."""
    said: list[str] = []
    install(cluster.kubeconfig_path, ABSENT, kubectl=str(cluster.kubectl_path), say=said.append, wait=wait)
    return said


def take(cluster: Cluster, *, purge: bool) -> list[str]:
    """Uninstall; return what was said."""
    said: list[str] = []
    uninstall(cluster.kubeconfig_path, kubectl=str(cluster.kubectl_path), purge=purge, say=said.append)
    return said


def found(cluster: Cluster, *what: str) -> Any:
    """Return what kubectl gets."""
    return yaml.safe_load(cluster.kubectl("get", *what, "--ignore-not-found", "-o", "yaml") or "{}")


def names(cluster: Cluster, *what: str) -> set[str]:
    """Return the names of what kubectl gets."""
    return set(cluster.kubectl("get", *what, "--ignore-not-found", "-o", "name").split())


def key_of(cluster: Cluster) -> str:
    """Return the signing key."""
    secret = found(cluster, "secret", "remit-gateway-signing-key", "-n", "remit-system")
    return base64.b64decode(secret["data"]["ed25519.key"]).decode()


OURS = (
    "clusterrole,clusterrolebinding,validatingadmissionpolicy,mutatingadmissionpolicy",
    "-l",
    "app.kubernetes.io/part-of=remit",
)


def test_installing_again_keeps_the_key_and_publishes_what_verifies_it(own: Cluster) -> None:
    put(own)
    first = key_of(own)
    said = put(own)
    published = found(own, "configmap", "remit-verifier-key", "-n", "remit-system")["data"]["vkey"]
    assert (key_of(own), published) == (first, parse_signing_key(first).verifier.text().strip())
    assert "the gateway keeps its signing key" in said
    assert first.strip().split("+", 4)[4] not in "\n".join(said)


def test_an_image_that_is_not_there_is_said(own: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "READY_SECONDS", 5)
    with pytest.raises(InstallError) as caught:
        put(own, wait=True)
    assert "InvalidImageName" in str(caught.value)


def test_uninstalling_keeps_what_people_made_and_what_proves_it(own: Cluster) -> None:
    put(own)
    own.kubectl("apply", "-f", "-", given=AGENT)
    take(own, purge=False)
    kept = names(own, "secret,pvc,configmap", "-n", "remit-system")
    assert {"secret/remit-gateway-signing-key", "persistentvolumeclaim/remit-ledger"} <= kept
    assert names(own, "agents") == {"agent.remit.dev/kept"}
    assert {name.partition("/")[2] for name in names(own, *OURS)} == {"remit-run-requester"}
    assert names(own, "deployments,services", "-n", "remit-system") == set()
    run = {
        "apiVersion": "remit.dev/v1alpha1",
        "kind": "AgentRun",
        "metadata": {"name": "forged", "namespace": "default"},
    }
    spec = {"agent": "kept", "purpose": "testing", "requester": {"username": "somebody-else"}}
    own.kubectl("create", "-f", "-", given=yaml.safe_dump({**run, "spec": spec}))
    assert found(own, "agentrun", "forged")["spec"]["requester"]["username"] != "somebody-else"


def test_a_purge_leaves_nothing(own: Cluster) -> None:
    put(own)
    closed = standing_deny("default")
    own.kubectl(
        "apply", "-f", "-", "--as", "system:serviceaccount:remit-system:remit-controller", given=json.dumps(closed)
    )
    take(own, purge=True)
    eventually(lambda: not names(own, "namespace", "remit-system"), within_seconds=60, why="the namespace is gone")
    assert (names(own, *OURS), names(own, "networkpolicies", "-A")) == (set(), set())
    assert not any("remit.dev" in crd for crd in names(own, "crd"))


def test_uninstalling_what_is_not_there_is_no_error(own: Cluster) -> None:
    assert take(own, purge=True)[-1] == "objects, kinds, ledger and signing key are gone"
