"""Pods for the cluster's own tests."""

import json
from typing import Any

from tests.support.polling import eventually

from remit.cluster import Cluster
from remit.cluster.images import BUSYBOX_IMAGE

PORT = 8080


def pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """Build a pod of one busybox."""
    container = {
        "name": "main",
        "image": BUSYBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
        **spec.pop("container", {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def sleeper(name: str) -> dict[str, Any]:
    """Build a pod that does nothing."""
    return pod(name, "sleep", "3600")


def server(name: str) -> dict[str, Any]:
    """Build a pod that answers every connection with a word."""
    return pod(name, "nc", "-ll", "-p", str(PORT), "-e", "echo", "hello")


def apply(cluster: Cluster, *bodies: dict[str, Any], namespace: str = "default") -> None:
    """Apply objects."""
    objects = {"apiVersion": "v1", "kind": "List", "items": list(bodies)}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", given=json.dumps(objects))


def run(cluster: Cluster, body: dict[str, Any], namespace: str = "default") -> None:
    """Make a pod and wait until it is Ready."""
    apply(cluster, body, namespace=namespace)
    name = body["metadata"]["name"]
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def remove(cluster: Cluster, *names: str) -> None:
    """Delete pods and wait until they are gone."""
    cluster.kubectl("delete", "pod", "--force", "--grace-period=0", *names)


def address(cluster: Cluster, name: str) -> str:
    """Give a pod's address."""
    return cluster.kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}")


def reaches(cluster: Cluster, name: str, host: str, port: int) -> bool:
    """Tell whether a connection from a pod to a port is accepted."""
    script = f"nc -w 1 {host} {port} < /dev/null > /dev/null && echo yes || echo no"
    return cluster.kubectl("exec", name, "--", "sh", "-c", script).strip() == "yes"


def eventually_reaches(cluster: Cluster, name: str, target: tuple[str, int], *, wanted: bool) -> bool:
    """Wait until a pod reaches a port, or does not any more."""
    host, port = target
    return eventually(
        lambda: reaches(cluster, name, host, port),
        lambda seen: seen is wanted,
        within_seconds=15,
        why=f"{name} {'reaches' if wanted else 'does not reach'} {host}:{port}",
    )
