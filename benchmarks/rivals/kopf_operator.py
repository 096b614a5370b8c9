"""`python -m benchmarks.rivals.kopf_operator`: the same in kopf as its documentation has it: handlers keep state.

What ours does for a run, step by step, each as the handler that kopf has for it: review, look for what would open the
pod, make it; follow the pod; end; hold the deadline; let go. kopf tells of each in Events of its own.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import kopf

from benchmarks.rivals.work import API_VERSION, GROUP, LABEL, MANAGER, pod_of, status
from remit.adapters.access import find_access
from remit.adapters.cluster import KubernetesCluster

ACCESS = find_access(os.environ)
CLUSTER = KubernetesCluster(ACCESS)
WORKS = (GROUP, "v1", "works")
LOOK_SECONDS = 60.0


@kopf.on.login()
async def login(**_: Any) -> kopf.ConnectionInfo:
    """Log in as we are told."""
    return kopf.ConnectionInfo(
        server=ACCESS.server,
        ca_data=ACCESS.authority.encode() or None,
        scheme="Bearer",
        token=ACCESS.read_token() or None,
        certificate_data=ACCESS.certificate.encode() or None,
        private_key_data=ACCESS.key.encode() or None,
    )


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Be alone; everything else is as kopf comes."""
    settings.peering.standalone = True


@kopf.on.create(*WORKS)
async def review(spec: kopf.Spec, **_: Any) -> None:
    """Ask whether the work may start."""
    if not spec.get("purpose"):
        raise kopf.PermanentError("a purpose is missing")


@kopf.on.create(*WORKS)
async def look_around(namespace: str | None, **_: Any) -> None:
    """Look for what would open the pod."""
    await CLUSTER.list("networking.k8s.io/v1", "NetworkPolicy", namespace or "")


@kopf.on.create(*WORKS)
async def begin(body: kopf.Body, patch: kopf.Patch, **_: Any) -> dict[str, str]:
    """Make the pod."""
    pod = await CLUSTER.create(pod_of(body), MANAGER)
    patch.status["reason"] = "Starting"
    return {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}


@kopf.on.field("", "v1", "pods", field="status.phase", labels={LABEL: kopf.PRESENT})
async def pod_moved(new: Any, namespace: str | None, labels: kopf.Labels, **_: Any) -> None:
    """Say that the work runs."""
    if new == "Running":
        await CLUSTER.apply_status(status(namespace or "", labels[LABEL], "Running"), MANAGER)


@kopf.on.field(*WORKS, field="status.outcome")
async def ended(new: Any, patch: kopf.Patch, namespace: str | None, name: str | None, **_: Any) -> None:
    """Say how it ended, and take the pod away."""
    if not new:
        return
    patch.status["reason"] = new["reason"]
    pod = await CLUSTER.get("v1", "Pod", namespace or "", name or "")
    if pod is not None:
        await CLUSTER.delete("v1", "Pod", namespace or "", name or "", pod["metadata"]["uid"])


@kopf.timer(*WORKS, interval=LOOK_SECONDS, initial_delay=LOOK_SECONDS)
async def deadline(body: kopf.Body, **_: Any) -> None:
    """End what goes on for too long; here nothing does."""
    assert body["apiVersion"] == API_VERSION


@kopf.on.delete(*WORKS)
async def gone(**_: Any) -> None:
    """Nothing is left to do: the pod goes with its owner. The handler is what makes kopf hold the object until then."""


if __name__ == "__main__":
    asyncio.run(kopf.operator(clusterwide=True, standalone=True))
