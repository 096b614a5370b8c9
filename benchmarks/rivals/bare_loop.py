"""`python -m benchmarks.rivals.bare_loop`: the least that can be done: two watches, and a write for each step."""

from __future__ import annotations

import asyncio
import os

from benchmarks.rivals.work import API_VERSION, LABEL, MANAGER, Object, pod_of, status
from remit.adapters.access import find_access
from remit.adapters.cluster import KubernetesCluster


class Loop:
    """Remembers how far each piece of work is, so that nothing is written twice."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        """Act in this cluster."""
        self._cluster = cluster
        self._reached: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch("v1", "Pod", LABEL))
            group.create_task(self._watch(API_VERSION, "Work", ""))

    async def _watch(self, api_version: str, kind: str, selector: str) -> None:
        async for change, thing in self._cluster.watch(api_version, kind, selector):
            if change not in {"ADDED", "MODIFIED"}:
                continue
            step = self._pod_changed(thing) if kind == "Pod" else self._work_changed(thing)
            if step is not None:
                self._tasks.add(task := asyncio.create_task(step))
                task.add_done_callback(self._tasks.discard)

    def _work_changed(self, thing: Object):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a coroutine, or nothing to do
        uid, outcome = thing["metadata"]["uid"], (thing.get("status") or {}).get("outcome")
        if uid not in self._reached:
            self._reached[uid] = "Starting"
            return self._begin(thing)
        if outcome and self._reached[uid] != "Ended":
            self._reached[uid] = "Ended"
            return self._end(thing)
        return None

    def _pod_changed(self, pod: Object):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a coroutine, or nothing to do
        uid = pod["metadata"]["ownerReferences"][0]["uid"]
        if (pod.get("status") or {}).get("phase") != "Running" or self._reached.get(uid) != "Starting":
            return None
        self._reached[uid] = "Running"
        return self._say(pod, "Running")

    async def _begin(self, thing: Object) -> None:
        pod = await self._cluster.create(pod_of(thing), MANAGER)
        await self._say(thing, "Starting", pod={"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]})

    async def _end(self, thing: Object) -> None:
        await self._say(thing, str(thing["status"]["outcome"]["reason"]))
        metadata = thing["metadata"]
        pod = await self._cluster.get("v1", "Pod", metadata["namespace"], metadata["name"])
        if pod is not None:
            await self._cluster.delete("v1", "Pod", metadata["namespace"], metadata["name"], pod["metadata"]["uid"])

    async def _say(self, thing: Object, reason: str, **more: object) -> None:
        metadata = thing["metadata"]
        await self._cluster.apply_status(status(metadata["namespace"], metadata["name"], reason, **more), MANAGER)


async def main() -> None:
    """Run the loop."""
    async with KubernetesCluster(find_access(os.environ)) as cluster:
        await Loop(cluster).run()


if __name__ == "__main__":
    asyncio.run(main())
