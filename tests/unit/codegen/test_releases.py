"""Every way to install is made from the same manifests: nothing names another namespace, nothing is left out."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from remit.api.meta import CRD_REVISION
from remit.cli.manifests import Images, Scope, find_root, release
from remit.codegen import __main__ as program
from remit.codegen.charts import chart_files, literal
from remit.codegen.needs import CONTROLLER, Need
from remit.codegen.releases import release_files
from remit.codegen.scoped import admin_manifests, namespaced_manifests, of_the_cluster, scoped_text

ROOT = find_root()
IMAGES = Images("c", "g", "h")
RELEASES = {path: list(yaml.safe_load_all(text)) for path, text in release_files(program.present).items()}
CHARTS = chart_files(program.present)


def named(manifests: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return kinds and names."""
    return [(each["kind"], each["metadata"]["name"]) for each in manifests]


def test_the_single_file_is_what_install_applies() -> None:
    applied = release(IMAGES)
    assert sorted(named(RELEASES["manifests/install.yaml"])) == sorted(named(applied))


def test_nothing_is_applied_by_two_people() -> None:
    admin, owner = (named(RELEASES[f"manifests/install-{part}.yaml"]) for part in ("admin", "namespaced"))
    assert set(admin) & set(owner) == set()
    assert sorted(named(release(IMAGES, scope=Scope.NAMESPACE))) == sorted([*admin, *owner])


def test_the_owner_of_a_namespace_needs_nothing_of_the_cluster() -> None:
    owned = RELEASES["manifests/install-namespaced.yaml"]
    assert {each["metadata"].get("namespace") for each in owned} == {"remit-system"}
    assert "ClusterRole" not in {kind for kind, _ in named(owned)}


@pytest.mark.parametrize("part", ["controller", "gateway"])
def test_in_one_namespace_both_programs_are_told_so(part: str) -> None:
    (found,) = [
        each
        for each in RELEASES["manifests/install-namespaced.yaml"]
        if each["kind"] == "Deployment" and each["metadata"]["name"] == f"remit-{part}"
    ]
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert "REMIT_WATCH_NAMESPACE" in [variable["name"] for variable in container["env"]]


def test_admission_of_one_namespace_names_none() -> None:
    policies = [each for each in admin_manifests() if "AdmissionPolicy" in each["kind"]]
    assert policies
    assert "remit-system" not in yaml.safe_dump_all(policies)
    assert "' + request.namespace + ':remit-controller'" in yaml.safe_dump_all(policies, width=100_000)


def test_an_account_is_that_of_the_requests_namespace() -> None:
    cel = "request.userInfo.username == 'system:serviceaccount:remit-system:remit-controller'"
    assert scoped_text(cel) == (
        "request.userInfo.username == 'system:serviceaccount:' + request.namespace + ':remit-controller'"
    )


def test_rights_of_the_cluster_are_for_ones_own_namespace_only() -> None:
    wide = [each for each in admin_manifests() if each["metadata"]["name"].endswith("-in-remit-system")]
    rules = [rule for each in wide for rule in each.get("rules", ())]
    resources = {(resource, *rule.get("resourceNames", ())) for rule in rules for resource in rule["resources"]}
    assert resources == {("namespaces", "remit-system"), ("tokenreviews",)}


def test_both_scopes_give_an_account_the_same_rights() -> None:
    roles = {each["metadata"]["name"]: each for each in admin_manifests() if each["kind"] == "Role"}
    given = roles["remit-controller"]
    within = [need for need in CONTROLLER.everywhere if not of_the_cluster(need)]
    assert len(given["rules"]) == len(within) + len(CONTROLLER.at_home)
    assert {each["kind"] for each in namespaced_manifests()} == {"ServiceAccount", "Role"}


def test_a_row_of_both_kinds_is_refused() -> None:
    row = replace(CONTROLLER.everywhere[0], resources=("pods", "namespaces"))
    with pytest.raises(ValueError, match="either"):
        of_the_cluster(row)
    assert of_the_cluster(Need("", ("namespaces",), ("get",), "why it is so"))


def test_charts_name_no_namespace_and_no_image() -> None:
    texts = "".join(CHARTS.values())
    assert "remit-system" not in texts
    assert not re.search(r"image: remit-", texts)
    assert "<<" not in texts


def test_a_manifest_that_helm_would_read_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="Helm"):
        literal("a: '{{ b }}'")


def test_kinds_are_kept_when_their_chart_goes() -> None:
    crds = [yaml.safe_load(text) for path, text in CHARTS.items() if path.startswith("charts/remit-crds/")]
    assert len(crds) == len(list((ROOT / "crds").glob("*s.yaml")))
    assert {each["metadata"]["annotations"]["helm.sh/resource-policy"] for each in crds} == {"keep"}


@pytest.mark.parametrize("path", ["remit/templates/crds-check.yaml", "remit-crds/templates/NOTES.txt"])
def test_what_people_wrote_names_the_revision_of_today(path: str) -> None:
    text = Path(ROOT / "charts" / path).read_text()
    assert re.search(rf"(wanted := |revision ){CRD_REVISION}\b", text)
