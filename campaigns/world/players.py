"""Plays the node and the gateway: pods run, grants and policies are enforced, as soon as they are seen."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from campaigns.world.direct import Direct, DirectError, path_of
from campaigns.world.observer import Observer
from remit.api.names import LABEL_SANDBOX

NODE = "node-0"
READY = {"reason": "Ready", "message": "the gateway enforces this generation"}
Object = dict[str, Any]


@dataclass
class Players:
    """Acts on what the observer sees. A namespace in `quiet` gets no node; one in `ungoverned` no gateway."""

    direct: Direct
    observer: Observer
    quiet: set[str] = field(default_factory=set)
    ungoverned: set[str] = field(default_factory=set)
    home: str = "plan-"
    """Only namespaces of this beginning are played."""
    _going: set[asyncio.Task[None]] = field(default_factory=set)
    _bound: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Act from now on."""
        self.observer.listeners.append(self._see)

    def _see(self, change: str, kind: str, thing: Object) -> None:
        namespace = thing["metadata"].get("namespace", "")
        if change == "DELETED" or not namespace.startswith(self.home):
            return
        if kind in {"ToolGrant", "Policy"} and namespace not in self.ungoverned:
            self._enforce(thing)
        if kind == "Pod" and LABEL_SANDBOX in (thing["metadata"].get("labels") or {}) and namespace not in self.quiet:
            self._host(thing)

    def _enforce(self, thing: Object) -> None:
        generation = thing["metadata"]["generation"]
        if ((thing.get("status") or {}).get("enforced") or {}).get("generation") != generation:
            self._start(self._say(thing, {"enforced": {"generation": generation, **READY}}))

    async def _say(self, thing: Object, status: Object) -> None:
        await self.direct.say(thing, status)

    def _host(self, pod: Object) -> None:
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            self._start(self._remove(pod))
        elif not (pod.get("spec") or {}).get("nodeName"):
            if metadata["uid"] not in self._bound:
                self._bound.add(metadata["uid"])
                self._start(self._bind(pod))
        elif (pod.get("status") or {}).get("phase", "Pending") == "Pending":
            self._start(self._run(pod))

    async def _bind(self, pod: Object) -> None:
        metadata = pod["metadata"]
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        }
        await self.direct.send("POST", f"{path_of('Pod', metadata['namespace'], metadata['name'])}/binding", body)

    async def _run(self, pod: Object) -> None:
        await self.set_pod(pod, running())

    async def set_pod(self, pod: Object, status: Object) -> None:
        """Write a pod's status, as its node."""
        metadata = pod["metadata"]
        path = f"{path_of('Pod', metadata['namespace'], metadata['name'])}/status"
        change = {"metadata": {"uid": metadata["uid"]}, "status": status}
        await self.direct.send("PATCH", path, change, kind="application/merge-patch+json")

    async def _remove(self, pod: Object) -> None:
        metadata = pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        await self.direct.delete("Pod", metadata["namespace"], metadata["name"], **options)

    def _start(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._act(act))
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    @staticmethod
    async def _act(act: Coroutine[Any, Any, None]) -> None:
        try:
            await act
        except (DirectError, OSError, TimeoutError):
            return  # the object went in between, or the apiserver did: the next event tells


def running() -> Object:
    """Return the status of a pod that runs."""
    started = "2026-11-21T12:00:00Z"
    return {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": started,
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [_container({"running": {"startedAt": started}}, ready=True)],
    }


def ended(phase: str = "Failed", reason: str = "", message: str = "", code: int = 1) -> Object:
    """Return the status of a pod that ended; `reason` is the kubelet's, Evicted for one."""
    moments = {"startedAt": "2026-11-21T12:00:00Z", "finishedAt": "2026-11-21T12:00:05Z"}
    state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", **moments}}
    told = {"reason": reason, "message": message} if reason else {}
    return {"phase": phase, **told, "containerStatuses": [_container(state, ready=False)]}


def _container(state: Object, *, ready: bool) -> Object:
    return {
        "name": "harness",
        "image": "remit.dev/harness:1",
        "imageID": "",
        "ready": ready,
        "restartCount": 0,
        "state": state,
    }
