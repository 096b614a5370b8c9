"""What a pod's status says about its run: does it run, what keeps it from starting, why did it end. Pure.

Messages are made to stay the same while nothing changes: a status is written for each that does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remit.core.conditions import find_condition
from remit.core.lifecycle import PodFacts
from remit.core.moments import epoch_seconds

Pod = Mapping[str, Any]
_MAX_WORDS = 300
_UNPULLABLE = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"})
_HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})
_ENDED = frozenset({"Succeeded", "Failed"})


def pod_facts(pod: Pod) -> PodFacts:
    """Return what the run's course depends on."""
    status = pod.get("status") or {}
    phase = str(status.get("phase", "Pending"))
    leaves = pod["metadata"].get("deletionTimestamp")
    leaves_at = epoch_seconds(leaves) if leaves else None
    if phase not in _ENDED:
        return PodFacts(phase, trouble=_trouble(pod, status), leaves_at=leaves_at)
    return PodFacts(
        phase,
        failure=_failure(status, phase),
        ended_at=_ended_at(pod, status),
        gave_up=phase == "Succeeded",
        leaves_at=leaves_at,
    )


def has_ended(pod: Pod) -> bool:
    """Tell whether nothing runs in the pod any more."""
    return (pod.get("status") or {}).get("phase") in _ENDED


def _trouble(pod: Pod, status: Mapping[str, Any]) -> str:
    """Say what keeps the pod from starting."""
    scheduled = find_condition(status.get("conditions") or (), "PodScheduled")
    if scheduled and scheduled.get("reason") == "Unschedulable":
        words = str(scheduled.get("message", ""))[:_MAX_WORDS]
        return f"no node has room for the pod: add one, or lower the agent's spec.sandbox: {words}"
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if (reason := waiting.get("reason", "")) and reason not in _HARMLESS:
            return _cannot_start(pod["metadata"]["name"], container, reason)
    return ""


def _cannot_start(pod_name: str, container: Mapping[str, Any], reason: str) -> str:
    """Name the trouble without the kubelet's words, which change with every try."""
    if reason in _UNPULLABLE:
        return f"image {container.get('image')} cannot be pulled; kubectl describe pod {pod_name} says why"
    return f"container {container.get('name')} does not start: {reason}; kubectl describe pod {pod_name} says why"


def _failure(status: Mapping[str, Any], phase: str) -> str:
    """Say why the pod ended."""
    if reason := status.get("reason"):
        return f"the pod ended: {reason}: {str(status.get('message', ''))[:_MAX_WORDS]}".rstrip(": ")
    for container in _containers(status):
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"container {container.get('name')} ended with exit code {ended['exitCode']} ({ended.get('reason')})"
    if phase == "Succeeded":
        return "the agent's process ended and handed no result in"
    return "the pod failed"


def _ended_at(pod: Pod, status: Mapping[str, Any]) -> float:
    """Return when its last container ended; one that never had any ended when it was made."""
    ends = [
        ended["finishedAt"]
        for container in _containers(status)
        if (ended := (container.get("state") or {}).get("terminated")) and ended.get("finishedAt")
    ]
    return max(map(epoch_seconds, ends), default=epoch_seconds(pod["metadata"]["creationTimestamp"]))


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the agent's containers before the sidecar: they say more."""
    yield from status.get("containerStatuses") or ()
    yield from status.get("initContainerStatuses") or ()
