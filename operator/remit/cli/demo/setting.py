"""Sets the stage: a cluster, images, Remit and the example's systems. Idempotent: what stands already is kept."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from remit.api.names import ANNOTATION_HOSTS
from remit.cli.demo.stage import BANK, CORE, SceneError, Stage
from remit.cli.install import Images, install
from remit.cluster import Cluster, names
from remit.images.build import build_image
from remit.images.recipe import recipe_of

EXAMPLE = Path("examples/01-bank-dispute")
IMAGES = ("controller", "gateway", "harness", "bank-dispute", "hostile")
AGENTS = ("dispute-resolver", "dispute-overreacher", "dispute-fumbler", "dispute-talker", "dispute-plodder")
UPSTREAMS = {
    "core-banking-key": ("core-banking", f"core-banking.{CORE}.svc:8000"),
    "model-key": ("model-provider", f"model.{CORE}.svc:8001"),
}
"""Secret that the system reads → (the bank's Secret with the same key, the host that it may go to)."""
Say = Callable[[str], None]


def example_folder() -> Path:
    """Find the example; raises SceneError outside a clone."""
    if not EXAMPLE.is_dir():
        raise SceneError(f"{EXAMPLE} is not here: run this from the root of a clone of the project")
    return EXAMPLE


def own_cluster(name: str | None, say: Say) -> Stage:
    """Bring the embedded cluster up and load the images into it."""
    cluster = Cluster(name) if name else Cluster()
    cluster.up(say)
    references = {}
    for image in IMAGES:
        built = build_image(recipe_of(image), say=say)
        if built.reference not in cluster.images():
            cluster.load_image(built.path)
        references[image] = built.reference
    # The bank's policy asks for digests: agents of one's own images name them so.
    references["hostile"] = cluster.pin_image(references["hostile"])
    stage = Stage(cluster.kubeconfig_path, str(cluster.kubectl_path), references, example_folder())
    return replace(stage, outside=f"{cluster.host_address}:0")


def given_cluster(kubeconfig: Path, registry: str) -> Stage:
    """Use the cluster of a kubeconfig, with images that somebody pushed to `registry`.

    The hostile image is an agent's, and the bank's policy wants those by digest: `pin_pulled` finds it out.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise SceneError("kubectl is not on the PATH; install it, or unset KUBECONFIG to use the embedded cluster")
    if not registry:
        raise SceneError(
            "KUBECONFIG is set, so the images must come from a registry that this cluster can pull from: build them "
            "with images/Dockerfile.*, push them, and give --registry HOST/PATH[@TAG]"
        )
    path, _, tag = registry.partition("@")
    references = {image: f"{path}/remit-{image}:{tag or 'latest'}" for image in IMAGES}
    return Stage(kubeconfig, kubectl, references, example_folder())


def pin_pulled(stage: Stage, image: str) -> Stage:
    """Name an image by the digest that the cluster pulled it with, where it is named by tag."""
    reference = stage.images[image]
    if "@sha256:" in reference:
        return stage
    probe = ("-n", CORE, "probe")
    stage.kubectl(
        "run", *probe, f"--image={reference}", "--restart=Never", "--command", "--", "/usr/bin/python3.11", "-V"
    )
    try:
        identity = stage.until(
            lambda: stage.kubectl("get", "pod", *probe, "-o", "jsonpath={.status.containerStatuses[0].imageID}"),
            lambda seen: "@sha256:" in seen,
            f"{reference} is pulled",
        )
    finally:
        stage.kubectl("delete", "pod", *probe, "--wait=false")
    return replace(stage, images={**stage.images, image: identity.rpartition("://")[2]})


def choose(name: str | None, registry: str, say: Say) -> Stage:
    """Use the user's cluster when there is a kubeconfig of one, else the embedded one."""
    given = os.environ.get("KUBECONFIG")
    if name or not given:
        return own_cluster(name, say)
    own = embedded(Path(given))
    return own_cluster(own, say) if own else given_cluster(Path(given), registry)


def embedded(kubeconfig: Path) -> str | None:
    """Name the embedded cluster that a kubeconfig is of, also while it is down; None when it is of none."""
    known = (*names(), Cluster().name)
    return next((each for each in known if Cluster(each).kubeconfig_path == kubeconfig.absolute()), None)


def furnish(stage: Stage, say: Say) -> None:
    """Install Remit, start the bank's systems and hand the agents their authority."""
    images = Images(stage.images["controller"], stage.images["gateway"], stage.images["harness"])
    install(stage.kubeconfig, images, kubectl=stage.kubectl_path, say=say)
    stage.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CORE}}])
    stage.apply_file("tenant.yaml")
    for name, (binding, host) in UPSTREAMS.items():
        make_key(stage, name, binding, host)
    stage.apply_file("systems.yaml")
    # The bank's books begin anew each time, as its seed has them.
    stage.kubectl("rollout", "restart", "-n", CORE, "deployment/core-banking")
    for system in ("core-banking", "model"):
        stage.kubectl("rollout", "status", "-n", CORE, f"deployment/{system}", "--timeout=120s")
    for name in ("policy.yaml", "grants.yaml", "agents.yaml"):
        stage.apply_file(name)
    stage.kubectl("wait", "-n", BANK, "toolgrant", "--all", "--for=condition=Ready", "--timeout=60s")
    stage.kubectl("wait", "-n", BANK, "agent", *AGENTS, "--for=condition=Ready", "--timeout=60s")
    say("the bank's systems run, its agents have their authority")


def make_key(stage: Stage, name: str, binding: str, host: str) -> None:
    """Draw a system's key once, and give the bank a Secret with it that may go to that system only."""
    existing = stage.kubectl("get", "secret", name, "-n", CORE, "--ignore-not-found", "-o", "jsonpath={.data.key}")
    key = base64.b64decode(existing).decode() if existing else f"key-{secrets.token_hex(16)}"
    stage.apply([secret(CORE, name, key, {}), secret(BANK, binding, key, {ANNOTATION_HOSTS: host})])


def secret(namespace: str, name: str, key: str, annotations: dict[str, str]) -> dict[str, Any]:
    """Return a Secret."""
    meta = {"name": name, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"key": key}}


@contextmanager
def the_world_outside(stage: Stage) -> Iterator[Stage]:
    """Listen beyond the embedded cluster, in place of the internet, while the block runs."""
    host = stage.outside.rpartition(":")[0]
    if not host:
        yield stage
        return
    with socket.create_server((host, 0)) as door:
        greeter = threading.Thread(target=greet, args=(door,), daemon=True)
        greeter.start()
        yield replace(stage, outside=f"{host}:{door.getsockname()[1]}")
        door.shutdown(socket.SHUT_RDWR)
        greeter.join(timeout=5)


def greet(door: socket.socket) -> None:
    """Take every connection until the door closes."""
    while True:
        try:
            visitor, _ = door.accept()
        except OSError:
            return
        visitor.close()
