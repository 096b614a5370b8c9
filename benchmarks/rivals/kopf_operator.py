"""`python -m benchmarks.rivals.kopf_operator`: the same in kopf as its tutorial has it.

Handlers keep state, and reach the cluster by the official client. What ours does for a run, step by step, each as the
handler that kopf has for it: review, look for what would open the pod, make it; follow the pod; end; hold the deadline;
let go. kopf tells of each in Events of its own.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import kopf
import kubernetes

from benchmarks.rivals.work import API_VERSION, GROUP, LABEL, pod_of

WORKS = (GROUP, "v1", "works")
LOOK_SECONDS = 60.0


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Be alone; everything else is as kopf comes."""
    settings.peering.standalone = True
    kubernetes.config.load_config()  # type: ignore[no-untyped-call]


@kopf.on.create(*WORKS)
def review(spec: kopf.Spec, **_: Any) -> None:
    """Ask whether the work may start."""
    if not spec.get("purpose"):
        raise kopf.PermanentError("a purpose is missing")


@kopf.on.create(*WORKS)
def look_around(namespace: Any, **_: Any) -> None:
    """Look for what would open the pod."""
    kubernetes.client.NetworkingV1Api().list_namespaced_network_policy(namespace)


@kopf.on.create(*WORKS)
def begin(body: kopf.Body, namespace: Any, patch: kopf.Patch, **_: Any) -> dict[str, str]:
    """Make the pod."""
    wanted: Any = pod_of(body)
    pod: Any = kubernetes.client.CoreV1Api().create_namespaced_pod(namespace, wanted)
    patch.status["reason"] = "Starting"
    return {"name": pod.metadata.name, "uid": pod.metadata.uid}


@kopf.on.field("", "v1", "pods", field="status.phase", labels={LABEL: kopf.PRESENT})
def pod_moved(new: Any, namespace: Any, labels: kopf.Labels, **_: Any) -> None:
    """Say that the work runs."""
    if new == "Running":
        kubernetes.client.CustomObjectsApi().patch_namespaced_custom_object_status(
            *WORKS[:2], namespace, WORKS[2], labels[LABEL], {"status": {"reason": "Running"}}
        )


@kopf.on.field(*WORKS, field="status.outcome")
def ended(new: Any, patch: kopf.Patch, namespace: Any, name: Any, **_: Any) -> None:
    """Say how it ended, and take the pod away."""
    if not new:
        return
    patch.status["reason"] = new["reason"]
    try:
        kubernetes.client.CoreV1Api().delete_namespaced_pod(name, namespace)
    except kubernetes.client.ApiException as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


@kopf.timer(*WORKS, interval=LOOK_SECONDS, initial_delay=LOOK_SECONDS)
async def deadline(body: kopf.Body, **_: Any) -> None:
    """End what goes on for too long; here nothing does."""
    assert body["apiVersion"] == API_VERSION


@kopf.on.delete(*WORKS)
async def gone(**_: Any) -> None:
    """Nothing is left to do: the pod goes with its owner. The handler is what makes kopf hold the object until then."""


if __name__ == "__main__":
    asyncio.run(kopf.operator(clusterwide=True, standalone=True))
