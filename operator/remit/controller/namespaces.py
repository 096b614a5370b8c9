"""Keeps a namespace's standing deny policy in place: while it is not and cannot be, no sandbox lives there."""

from __future__ import annotations

from remit.controller.apply import Hands, OutdatedError
from remit.controller.gather import NamespaceWorld, namespace_world
from remit.controller.kinds import POD
from remit.controller.store import Key, Store
from remit.core.children import released_deny, standing_deny
from remit.core.plan import Apply, is_in_place, is_leaving, plan, reference_of, removal
from remit.ports import Cluster, ClusterError

_PASSING = frozenset({0, 409, 429})
"""Refusals that the next attempt may well not meet: no answer, a conflict, too many requests."""
_SERVER_FAULT = 500


class Namespaces:
    """Namespaces with agents or sandboxes in them."""

    def __init__(self, cluster: Cluster, store: Store, hands: Hands) -> None:
        """Act by these hands; what may not be out of date is read from the cluster."""
        self._cluster = cluster
        self._store = store
        self._hands = hands

    async def reconcile(self, key: Key) -> float | None:
        """Put the standing policy back, or take the sandboxes away."""
        world = namespace_world(self._store, key.name)
        if world.is_leaving:  # its policies go in no order that anyone promises: the sandboxes go first
            await self._hands.act(removal(world.pods))
        if world.deny is not None and is_leaving(world.deny):
            if not world.pods:
                await self._release(world.name)
        elif not world.is_leaving and (world.has_agents or world.pods):
            await self._put_in_place(world)
        return None

    async def _release(self, namespace: str) -> None:
        """Let the standing policy go, once no sandbox is there: a watch of pods may be behind that of policies."""
        if await self._cluster.list(POD.api_version, POD.kind, namespace, POD.selector):
            raise OutdatedError(f"a sandbox of {namespace} was not seen yet")
        await self._hands.act([Apply(released_deny(namespace))])

    async def _put_in_place(self, world: NamespaceWorld) -> None:
        if not is_in_place(standing_deny(world.name), world.deny):
            await self._restore(world)

    async def _restore(self, world: NamespaceWorld) -> None:
        deny = standing_deny(world.name)
        seen = {reference_of(deny): world.deny} if world.deny is not None else {}
        try:
            await self._hands.act(plan([deny], seen))
        except ClusterError as error:
            if error.code not in _PASSING and error.code < _SERVER_FAULT:
                await self._hands.act(removal(world.pods))
            raise
