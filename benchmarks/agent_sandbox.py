"""The peer of `warm-start`: kubernetes-sigs/agent-sandbox, built from its module and run on the same cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import BUILD_SECONDS, PEERS, Say
from benchmarks.processes import free_port, output_of, running
from benchmarks.setting import Setting, until
from remit.cluster import toolchain
from remit.cluster.layout import cache_folder

VERSION = "v0.1.0"
MODULE = "sigs.k8s.io/agent-sandbox"
FOLDER = PEERS / "agentsandbox"
NAMESPACE = "bench-agent-sandbox"
EXTENSIONS = "extensions.agents.x-k8s.io/v1alpha1"
CLAIMS = f"/apis/{EXTENSIONS}/namespaces/{NAMESPACE}/sandboxclaims"
TEMPLATE, POOL = "bench", "bench"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def built(into: Path, say: Say) -> tuple[Path, Path]:
    """Build the controller; returns it and the folder of its module, which holds the CRDs."""
    cache = cache_folder(os.environ, Path.home())
    go, _ = toolchain.find_or_fetch(cache, say)
    program = into / "agent-sandbox-controller"
    environment = {
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache / "go-build"),
        "GOMODCACHE": str(cache / "go-mod"),
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    say(f"building {MODULE} {VERSION}")
    line = [str(go), "build", "-trimpath", "-o", str(program), f"{MODULE}/cmd/agent-sandbox-controller"]
    output_of(line, seconds=2 * BUILD_SECONDS, folder=FOLDER, environment=environment)
    found = output_of([str(go), "list", "-m", "-json", MODULE], seconds=60, folder=FOLDER, environment=environment)
    return program, Path(json.loads(found)["Dir"])


@contextmanager
def installed(made: Setting, scratch: Path, pod: dict[str, Any], *, replicas: int, say: Say) -> Iterator[None]:
    """Run the controller, with the extensions, beside the cluster, with a full warm pool of such pods."""
    program, module = built(scratch, say)
    for path in sorted((module / "k8s" / "crds").glob("*.yaml")):
        made.stage.apply(path.read_text())
    crds = [
        f"crd/{yaml.safe_load(path.read_text())['metadata']['name']}" for path in (module / "k8s" / "crds").iterdir()
    ]
    made.stage.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    made.stage.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
    port = free_port()
    line: list[str | Path] = [program, "--extensions", f"--health-probe-bind-address=127.0.0.1:{port}"]
    with running(
        line, log=scratch / "controller.log", port=port, environment={"KUBECONFIG": str(made.stage.kubeconfig)}
    ):
        made.stage.apply([template(pod), pool(replicas)])
        until(lambda: ready_pods(made) >= replicas, "agent-sandbox's pool is full")
        try:
            yield
        finally:
            made.delete(f"/api/v1/namespaces/{NAMESPACE}")


def template(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the template of its sandboxes."""
    return {
        "apiVersion": EXTENSIONS,
        "kind": "SandboxTemplate",
        "metadata": {"name": TEMPLATE, "namespace": NAMESPACE},
        "spec": {"podTemplate": {"spec": pod}},
    }


def pool(replicas: int) -> dict[str, Any]:
    """Return the warm pool."""
    return {
        "apiVersion": EXTENSIONS,
        "kind": "SandboxWarmPool",
        "metadata": {"name": POOL, "namespace": NAMESPACE},
        "spec": {"replicas": replicas, "sandboxTemplateRef": {"name": TEMPLATE}},
    }


def claim(name: str) -> dict[str, Any]:
    """Return a claim of a sandbox."""
    return {
        "apiVersion": EXTENSIONS,
        "kind": "SandboxClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"sandboxTemplateRef": {"name": TEMPLATE}},
    }


def is_ready(thing: Any) -> bool:
    """Tell whether an object says that it is ready."""
    conditions = (thing.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def ready_pods(made: Setting) -> int:
    """Return how many of its pods are ready."""
    return sum(map(is_ready, made.get(PODS).get("items", [])))
