"""Reconciles ToolGrants and Policies: they are ready when the gateway says that it enforces just this generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from remit.api.reasons import ObjectReason
from remit.controller.apply import Hands
from remit.controller.settings import Settings
from remit.controller.store import Key, Store
from remit.core.conditions import Standing, conditions_of
from remit.core.moments import epoch_seconds, timestamp
from remit.core.plan import is_leaving
from remit.ports import Clock

_FIELDS: Final = ("conditions", "observedGeneration")
_WORDS: Final = frozenset(map(str, ObjectReason))

Verdict = tuple[Standing, str, str]


class Declarations:
    """ToolGrants and Policies."""

    def __init__(self, store: Store, hands: Hands, clock: Clock, settings: Settings) -> None:
        """Act by these hands."""
        self._store = store
        self._hands = hands
        self._clock = clock
        self._settings = settings

    async def reconcile(self, key: Key) -> float | None:
        """Say where the object stands; returns when time alone changes it."""
        thing = self._store.get(key)
        if thing is None or is_leaving(thing):
            return None
        now, generation = self._clock.now(), thing["metadata"].get("generation", 0)
        standing, reason, message = verdict_on(thing, now, self._settings.install_namespace)
        conditions = conditions_of(
            standing,
            reason,
            message,
            generation=generation,
            now=timestamp(now),
            previous=(thing.get("status") or {}).get("conditions") or (),
        )
        await self._hands.write_status(thing, {"observedGeneration": generation, "conditions": conditions}, _FIELDS)
        end = thing["spec"].get("notAfter")
        return moment if end and (moment := epoch_seconds(end)) > now else None


def verdict_on(thing: Mapping[str, Any], now: float, install_namespace: str) -> Verdict:
    """Say where a grant or policy stands. What the gateway has not taken up is not in force, whatever it says."""
    spec, metadata = thing["spec"], thing["metadata"]
    if "namespaceSelector" in spec and metadata["namespace"] != install_namespace:
        return _stalled(
            ObjectReason.NAMESPACE_SELECTOR_NOT_ALLOWED,
            f"namespaceSelector is for policies of {install_namespace} only",
        )
    enforced = (thing.get("status") or {}).get("enforced") or {}
    if enforced.get("generation") != metadata.get("generation"):
        return (
            Standing.RECONCILING,
            ObjectReason.GATEWAY_NOT_READY,
            f"the gateway does not enforce generation {metadata.get('generation')} yet",
        )
    if enforced["reason"] != ObjectReason.READY:
        reason = enforced["reason"] if enforced["reason"] in _WORDS else ObjectReason.INVALID_SPEC
        return _stalled(reason, enforced.get("message") or "the gateway refuses calls under it")
    if spec.get("suspended"):
        return _stalled(ObjectReason.SUSPENDED, "suspended: its calls are refused until spec.suspended is false")
    if (end := spec.get("notAfter")) and epoch_seconds(end) <= now:
        return _stalled(ObjectReason.EXPIRED, f"expired at {end}: the gateway refuses its calls")
    return Standing.READY, ObjectReason.READY, f"the gateway enforces generation {metadata.get('generation')}"


def _stalled(reason: str, message: str) -> Verdict:
    return Standing.STALLED, reason, message
