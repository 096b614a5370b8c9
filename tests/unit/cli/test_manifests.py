"""What `remit install` applies: complete, of one namespace, with our images, and as confined as sandboxes are."""

from typing import Any

import pytest
import yaml

from remit.cli.manifests import FILES, Images, find_root, release, to_stream

IMAGES = Images("registry/controller:1", "registry/gateway:1", "registry/harness:1")
MADE = release(IMAGES)
PODS = {made["metadata"]["name"]: made["spec"]["template"]["spec"] for made in MADE if made["kind"] == "Deployment"}


def kustomization(folder: str) -> list[str]:
    """Return the resources of a kustomization."""
    return list(yaml.safe_load((find_root() / folder / "kustomization.yaml").read_text())["resources"])


def test_kustomize_and_install_apply_the_same_files() -> None:
    assert kustomization("manifests/base") == ["../../crds", *(f"{name}.yaml" for name in FILES)]


def test_every_crd_is_in_the_kustomization() -> None:
    kinds = {path.name for path in (find_root() / "crds").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization("crds")) == kinds


def test_another_namespace_is_named_everywhere() -> None:
    assert "remit-system" not in to_stream(release(IMAGES, "agents-platform"))


def test_images_are_those_of_this_installation() -> None:
    found = {name: [container["image"] for container in pod["containers"]] for name, pod in PODS.items()}
    assert found == {"remit-controller": [IMAGES.controller], "remit-gateway": [IMAGES.gateway]}


def test_the_controller_knows_the_image_of_sandboxes() -> None:
    [container] = PODS["remit-controller"]["containers"]
    assert {"name": "REMIT_HARNESS_IMAGE", "value": IMAGES.harness} in container["env"]


@pytest.mark.parametrize("name", PODS)
def test_our_own_pods_are_restricted(name: str) -> None:
    pod = PODS[name]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {"memory", "ephemeral-storage"} <= set(container["resources"]["limits"])


def secrets_of(pod: dict[str, Any]) -> list[str]:
    """Return the names of the Secrets that a pod mounts or reads."""
    mounted = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    sources = [variable.get("valueFrom", {}) for container in pod["containers"] for variable in container["env"]]
    return mounted + [source["secretKeyRef"]["name"] for source in sources if "secretKeyRef" in source]


def test_only_the_gateway_holds_a_secret_and_only_its_key() -> None:
    assert {name: secrets_of(pod) for name, pod in PODS.items()} == {
        "remit-controller": [],
        "remit-gateway": ["remit-gateway-signing-key"],
    }


def test_the_ledger_has_one_writer() -> None:
    [gateway] = [made for made in MADE if made["metadata"]["name"] == "remit-gateway" and made["kind"] == "Deployment"]
    [claim] = [made for made in MADE if made["kind"] == "PersistentVolumeClaim"]
    assert (gateway["spec"]["replicas"], gateway["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_no_secret_is_in_the_tree() -> None:
    assert [made["metadata"]["name"] for made in MADE if made["kind"] == "Secret"] == []


def test_every_admission_policy_is_bound_and_fails_closed() -> None:
    policies = [made for made in MADE if made["kind"].endswith("AdmissionPolicy")]
    bound = {(made["kind"], made["spec"]["policyName"]) for made in MADE if made["kind"].endswith("PolicyBinding")}
    assert {(f"{made['kind']}Binding", made["metadata"]["name"]) for made in policies} == bound
    assert {made["spec"]["failurePolicy"] for made in policies} == {"Fail"}
