"""`kubectl apply` of the single files is enough: for the whole cluster, and for one namespace by two people."""

import json

import pytest
from tests.support.installed import Place
from tests.support.objects import a_run
from tests.support.polling import eventually

from remit.api.meta import GROUP
from remit.api.names import VERIFIER_CONFIG_MAP
from remit.cli.check import Verdict
from remit.cli.manifests import Scope
from remit.cluster import ClusterError
from remit.core.notes import parse_verifier_key

TEAM = "team-a"
OTHER = "team-b"


def test_one_file_installs_all_and_the_gateway_makes_its_own_key(place: Place) -> None:
    assert [each.verdict for each in place.checked(pre=True)] == [Verdict.GOOD] * 4
    assert place.lacks(), "what is not installed is missing"

    place.apply(place.file("install.yaml"))
    place.until_up()
    place.settle_in("default")
    place.govern("default")

    eventually(place.lacks, lambda found: found == [], within_seconds=60, why="remit check finds nothing missing")
    published = place.get("configmap", VERIFIER_CONFIG_MAP, "-n", "remit-system")
    assert parse_verifier_key(published["data"]["vkey"]).name == "remit.dev/evidence"
    with pytest.raises(ClusterError, match="immutable"):
        place.kubectl(
            *("patch", "configmap", VERIFIER_CONFIG_MAP, "-n", "remit-system", "--type=merge"),
            *("-p", '{"data": {"vkey": "another"}}'),
        )
    assert place.names("secret", "-n", "remit-system") == set()
    place.apply(place.file("install.yaml"))
    assert place.get("configmap", VERIFIER_CONFIG_MAP, "-n", "remit-system")["data"] == published["data"]


def test_an_admin_and_the_owner_of_a_namespace_install_it_there_only(place: Place) -> None:
    place.apply(place.file("install-admin.yaml", TEAM))
    place.kubectl("create", "namespace", OTHER)
    place.kubectl("create", "serviceaccount", "owner", "-n", TEAM)
    place.kubectl(
        *("create", "rolebinding", "owner", "-n", TEAM, "--clusterrole=admin", f"--serviceaccount={TEAM}:owner")
    )
    owner = ("--as", f"system:serviceaccount:{TEAM}:owner")
    place.kubectl("apply", "--server-side", "-f", "-", *owner, given=place.file("install-namespaced.yaml", TEAM))
    place.until_up(TEAM)
    place.settle_in(TEAM)
    place.govern(TEAM)
    eventually(lambda: place.lacks(TEAM), lambda found: found == [], within_seconds=60, why="nothing is missing")

    place.create(OTHER, {**a_run("elsewhere"), "metadata": {"name": "elsewhere"}})
    place.create(TEAM, a_run("here"))
    place.until("Running", "here", TEAM)
    assert "conditions" not in place.get("agentrun", "elsewhere", "-n", OTHER)["status"], "nobody looks after it"
    refuse_forged(place)

    place.take(purge=True, namespace=TEAM, scope=Scope.NAMESPACE)
    left = "deployments,services,roles,rolebindings,agents,agentruns,networkpolicies,leases,pvc"
    eventually(
        lambda: place.names(left, "-n", TEAM),
        lambda seen: not any("remit" in name for name in seen),
        within_seconds=60,
        why="nothing of it is left in the namespace",
    )
    assert any(GROUP in name for name in place.names("crd")), "the kinds are the admin's"
    for name in (TEAM, OTHER):
        place.kubectl("delete", "namespace", name, "--wait=false")


def refuse_forged(place: Place) -> None:
    """In another namespace neither the team's controller nor a namesake may act as a sandbox's maker."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "forged", "namespace": OTHER, "labels": {f"{GROUP}/sandbox": "harness"}},
        "spec": {"containers": [{"name": "agent", "image": "none.invalid/none"}]},
    }
    with pytest.raises(ClusterError, match=r"remit-sandbox-pods|forbidden"):
        place.kubectl(
            *("create", "-f", "-", "--as", f"system:serviceaccount:{TEAM}:remit-controller"), given=json.dumps(pod)
        )
