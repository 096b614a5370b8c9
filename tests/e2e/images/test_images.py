"""An image is the same bytes wherever it is built, and runs under the restricted profile."""

import hashlib
import json
from pathlib import Path

import pytest
from tests.support.polling import eventually

from remit.cluster import Cluster
from remit.images.build import BuiltImage, build_image
from remit.images.recipe import RECIPES

NAMESPACE = "images-test"
# What a restricted, read-only pod must be able to do with the image, and what it must not.
PROBE = """
import http.client, json, os, pathlib, ssl
import remit.harness.__main__
# Bytes 4 to 8 are the flags: 1 is bytecode that is never compared with its source.
bytecode = [path for top in ("/app", "/usr/lib/python3.11") for path in pathlib.Path(top).rglob("*.pyc")]
print(json.dumps({
    "uid": os.getuid(),
    "certificates": len(ssl.create_default_context().get_ca_certs()) > 100,
    "compiled": remit.harness.__cached__ in map(str, bytecode),
    "stale": [str(path) for path in bytecode if path.read_bytes()[4:8] != bytes([1, 0, 0, 0])],
    "shells": [str(path) for path in pathlib.Path("/").glob("*bin/*sh")],
    "writable": [folder for folder in ("/", "/app", "/etc", "/usr") if os.access(folder, os.W_OK)],
}))
"""


def build_in(cache: Path, monkeypatch: pytest.MonkeyPatch) -> BuiltImage:
    """Build the harness image with nothing in the cache."""
    monkeypatch.setenv("REMIT_CACHE", str(cache))
    return build_image(RECIPES["harness"])


def digest(image: BuiltImage) -> str:
    """Return the digest of the archive's bytes."""
    return hashlib.sha256(image.path.read_bytes()).hexdigest()


def test_two_builds_from_nothing_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_in(tmp_path / "first", monkeypatch)
    second = build_in(tmp_path / "second", monkeypatch)
    assert first.path != second.path
    assert (first.reference, digest(first)) == (second.reference, digest(second))


def a_pod(image: str) -> str:
    """Return a pod of the restricted profile that runs the probe."""
    container = {
        "name": "probe",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["/usr/bin/python3.11", "-c", PROBE],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": NAMESPACE}, "spec": spec}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [namespace, pod]})


def test_the_harness_image_runs_restricted_and_read_only(cluster: Cluster) -> None:
    image = build_image(RECIPES["harness"])
    cluster.load_image(image.path)
    cluster.kubectl("apply", "-f", "-", given=a_pod(image.reference))
    try:
        eventually(
            lambda: cluster.kubectl("get", "pod", "probe", "-n", NAMESPACE, "-o", "jsonpath={.status.phase}"),
            lambda phase: phase in ("Succeeded", "Failed"),
            within_seconds=60,
            why="the probe pod ends",
        )
        logs = cluster.kubectl("logs", "probe", "-n", NAMESPACE)
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    assert json.loads(logs) == {
        "uid": 65532,
        "certificates": True,
        "compiled": True,
        "stale": [],
        "shells": [],
        "writable": [],
    }
