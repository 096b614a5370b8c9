"""Hands pods that stand ready over to runs: one patch makes a pod a run's own, and nobody else's.

What stands ready is known from the watch: a claim lists nothing. A pod that was claimed is the run's like any other:
it carries no label of a pool any more and is never given out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from remit.api.agentrun import AgentRunSpec
from remit.controller.apply import GONE, Hands
from remit.controller.gather import RunWorld
from remit.controller.kinds import OF_AGENT, POD, POOL
from remit.controller.store import Key, Object, Store, key_of
from remit.core.children import SandboxSettings, claim_of, claimed_pod, run_pod, warm_mark, warm_pod
from remit.core.course import is_child_of
from remit.core.plan import deletion, is_in_place
from remit.core.pool import claimable, warm_pod_of
from remit.ports import Clock, Cluster, ClusterError

CLAIM_TRIES = 3
"""A run that lost so many races starts cold."""


class Claims:
    """Claims of pods that stand ready."""

    def __init__(
        self, cluster: Cluster, store: Store, hands: Hands, clock: Clock, *, note: Callable[[Key], None]
    ) -> None:
        """Act by these hands; `note` is told of which pool a pod was claimed."""
        self._cluster = cluster
        self._store = store
        self._hands = hands
        self._clock = clock
        self._note = note
        self._taken: set[str] = set()
        """UIDs of pods whose claim is under way."""
        self._doubts: dict[str, Key] = {}
        """By the run's UID: the pod of a claim whose answer was lost."""

    @staticmethod
    def wanted(world: RunWorld, spec: AgentRunSpec, settings: SandboxSettings) -> Object:
        """Return the run's pod as it should be: one that it claimed has a name and users of its own."""
        agent_spec, pod = world.pinned_agent(), world.pod
        cold = run_pod(world.run, spec, agent_spec, settings)
        if pod is None or world.agent is None or pod["metadata"]["name"] == cold["metadata"]["name"]:
            return cold
        return claimed_pod(pod, world.run, world.agent, spec=agent_spec, settings=settings)

    async def claim(self, world: RunWorld, spec: AgentRunSpec, settings: SandboxSettings) -> Object | None:
        """Make a pod that stands ready the run's own; None when the run has to start cold."""
        run, agent = world.run, world.agent
        if world.pod is not None:  # it has one already, or something else stands where one would
            return None
        if (found := await self._settle_doubt(run)) is not None:
            return found
        if agent is None or not self._free(agent):
            return None
        agent_spec = world.pinned_agent()
        mark = warm_mark(agent, world.revision, agent_spec, settings)
        for pod in self._ready(agent, mark):
            if pod["metadata"]["uid"] in self._taken:
                continue
            if not is_in_place(warm_pod(agent, agent_spec, settings, mark=mark, name=pod["metadata"]["name"]), pod):
                await self._hands.act([deletion(pod)])
            elif (claimed := await self._take(pod, run, spec)) is not None:
                return claimed
        return None

    def _ready(self, agent: Object, mark: str) -> Iterator[Object]:
        """Yield the pods that may be claimed, a few, the one that stands longest first."""
        namespace, now = agent["metadata"]["namespace"], self._clock.now()
        for name in claimable((warm_pod_of(pod, now) for pod in self._free(agent)), mark)[:CLAIM_TRIES]:
            if (pod := self._store.get(Key(POD.kind, namespace, name))) is not None:
                yield pod

    def _free(self, agent: Object) -> list[Object]:
        """Return the pods of the agent's pool that nobody is claiming just now."""
        pods = self._store.having(POD.kind, OF_AGENT, agent["metadata"]["namespace"], agent["metadata"]["name"])
        return [pod for pod in pods if pod["metadata"]["uid"] not in self._taken]

    async def _take(self, pod: Object, run: Object, spec: AgentRunSpec) -> Object | None:
        """Claim one pod; None when somebody was faster, or it is not there any more."""
        uid, key = pod["metadata"]["uid"], key_of(POD.kind, pod)
        self._taken.add(uid)
        try:
            claimed = await self._hands.patch(POD.kind, POD.api_version, claim_of(pod, run, spec))
        except ClusterError as error:
            if error.code not in GONE:
                self._doubts[run["metadata"]["uid"]] = key
                raise
            return await self._own(key, run)  # the faster one may have been this run, in an answer that was lost
        finally:
            self._taken.discard(uid)
        self._note(Key(POOL, key.namespace, spec.agent))
        return claimed

    async def _settle_doubt(self, run: Object) -> Object | None:
        """Ask what became of a claim whose answer was lost, before anything else is started for the run."""
        uid = run["metadata"]["uid"]
        if (key := self._doubts.get(uid)) is None:
            return None
        found = await self._own(key, run)
        del self._doubts[uid]
        return found

    async def _own(self, key: Key, run: Object) -> Object | None:
        """Read the pod as it is now; return it if it is the run's."""
        now = await self._cluster.get(POD.api_version, POD.kind, key.namespace, key.name)
        if now is not None:
            self._store.put(POD.kind, now)
        return now if is_child_of(now, run) else None
