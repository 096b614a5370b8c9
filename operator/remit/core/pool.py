"""Decides about the pods that stand ready for an agent's runs: which go, how many are made, when to look again. Pure.

INVARIANT: never more stand than are wanted; one that is ready goes only when it is too many or made from something
else; a pool that is left alone comes to what is wanted and stays there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from remit.api import names
from remit.core.conditions import find_condition
from remit.core.moments import epoch_seconds
from remit.core.plan import is_leaving

REFILL_DELAY_SECONDS = 1.0
"""After a claim nothing is made for so long: a run that starts has the machine to itself."""
LONGEST_DELAY_SECONDS = 5.0
"""Claims that do not cease put the refill off no longer than this."""
MOST_STARTING = 4
"""So many pods of one agent may be starting at a time."""
START_SECONDS = 300.0
"""A pod that is not ready by then is given up."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 300.0
"""Pause after a pod failed; it doubles with each that fails in a row."""
NO_ROOM_SECONDS = 1.0
LONG_AGO = float("-inf")
_ENDED = frozenset({"Succeeded", "Failed"})


class PodState(StrEnum):
    """What a pod of a pool is good for."""

    STARTING = "Starting"
    READY = "Ready"
    BROKEN = "Broken"
    LEAVING = "Leaving"


@dataclass(frozen=True, slots=True)
class WarmPod:
    """One pod of a pool."""

    name: str
    uid: str
    mark: str
    """What it was made from."""
    state: PodState
    made_at: float


@dataclass(frozen=True, slots=True)
class Trail:
    """What happened to a pool of late; a controller that starts anew begins without any."""

    claimed_at: float = LONG_AGO
    """When a pod was last claimed."""
    short_since: float = LONG_AGO
    """When the first was claimed since the pool was last full."""
    failures: int = 0
    """Pods that failed in a row."""
    failed_at: float = LONG_AGO
    failed: frozenset[str] = frozenset()
    """UIDs of the broken pods that were counted, as long as they are seen."""


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Everything that decides about a pool, gathered beforehand."""

    wanted: int | None
    """How many should stand; None while nobody can say: then nothing is made, and nothing that is well goes."""
    mark: str
    """What a pod is made from now."""
    pods: tuple[WarmPod, ...]
    now: float
    trail: Trail = Trail()
    room: int = MOST_STARTING
    """How many more pods may be starting, over all pools."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What to do."""

    delete: tuple[str, ...]
    make: int
    look_at: float | None
    """When time alone changes the plan."""


def warm_pod_of(pod: Mapping[str, Any], now: float) -> WarmPod:
    """Read a pod that stands ready, or is about to."""
    labels = pod["metadata"].get("labels") or {}
    made_at = epoch_seconds(pod["metadata"]["creationTimestamp"])
    mark, state = str(labels.get(names.LABEL_WARM, "")), _state_of(pod, now - made_at)
    return WarmPod(pod["metadata"]["name"], pod["metadata"]["uid"], mark, state, made_at)


def _state_of(pod: Mapping[str, Any], age_seconds: float) -> PodState:
    status = pod.get("status") or {}
    if is_leaving(pod):
        return PodState.LEAVING
    if status.get("phase") in _ENDED or names.LABEL_QUARANTINE in (pod["metadata"].get("labels") or {}):
        return PodState.BROKEN
    ready = find_condition(status.get("conditions") or (), "Ready")
    if status.get("phase") == "Running" and status.get("podIPs") and ready and ready.get("status") == "True":
        return PodState.READY
    return PodState.BROKEN if age_seconds >= START_SECONDS else PodState.STARTING


def decide(facts: PoolFacts) -> PoolPlan:
    """Return what to do about a pool now."""
    broken = [pod for pod in facts.pods if pod.state is PodState.BROKEN]
    well = [pod for pod in facts.pods if pod.state in {PodState.STARTING, PodState.READY}]
    if facts.wanted is None:
        return PoolPlan(_names(broken), 0, _gives_up_at(well))
    foreign = [pod for pod in well if pod.mark != facts.mark]
    kept = sorted((pod for pod in well if pod.mark == facts.mark), key=_worth)
    surplus = kept[facts.wanted :]
    kept = kept[: facts.wanted]
    starting = sum(pod.state is PodState.STARTING for pod in kept)
    make, look_at = _refill(facts, lack=facts.wanted - len(kept), starting=starting)
    looks = [moment for moment in (look_at, _gives_up_at(kept)) if moment is not None]
    return PoolPlan(_names([*broken, *foreign, *surplus]), make, min(looks, default=None))


def _refill(facts: PoolFacts, *, lack: int, starting: int) -> tuple[int, float | None]:
    """Return how many pods to make now, and when to look again."""
    if lack <= 0:
        return 0, None
    if facts.now < (begins_at := refill_begins_at(facts.trail)):
        return 0, begins_at
    here = min(lack, MOST_STARTING - starting)
    make = max(0, min(here, facts.room))
    return make, facts.now + NO_ROOM_SECONDS if make < here else None


def refill_begins_at(trail: Trail) -> float:
    """Return when pods may be made again: some time after a claim, later and later after failures."""
    after_claims = min(trail.claimed_at + REFILL_DELAY_SECONDS, trail.short_since + LONGEST_DELAY_SECONDS)
    if trail.failures == 0:
        return after_claims
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(trail.failures - 1, 16), LONGEST_PAUSE_SECONDS)
    return max(after_claims, trail.failed_at + pause)


def follow(trail: Trail, pods: Iterable[WarmPod], wanted: int, now: float) -> Trail:
    """Bring a trail up to date with what is seen: failures count in a row, and a full pool is short of nothing."""
    seen = tuple(pods)
    broken = frozenset(pod.uid for pod in seen if pod.state is PodState.BROKEN)
    trail, fresh = replace(trail, failed=broken), broken - trail.failed
    if fresh:
        trail = replace(trail, failures=trail.failures + 1, failed_at=now)
    elif any(pod.state is PodState.READY and pod.made_at > trail.failed_at for pod in seen):
        trail = replace(trail, failures=0, failed_at=LONG_AGO)
    return replace(trail, short_since=LONG_AGO) if ready_count(seen) >= wanted else trail


def claimed(trail: Trail, now: float) -> Trail:
    """Note that a pod was claimed: a run starts."""
    return replace(trail, claimed_at=now, short_since=now if trail.short_since == LONG_AGO else trail.short_since)


def failed(trail: Trail, now: float) -> Trail:
    """Note that a pod was never what it should be."""
    return replace(trail, failures=trail.failures + 1, failed_at=now)


def claimable(pods: Iterable[WarmPod], mark: str) -> list[str]:
    """Return the names of the pods that a run may claim, the one that stands longest first."""
    ready = [pod for pod in pods if pod.state is PodState.READY and pod.mark == mark]
    return _in_order(ready)


def ready_count(pods: Iterable[WarmPod]) -> int:
    """Return how many pods stand ready."""
    return sum(pod.state is PodState.READY for pod in pods)


def _worth(pod: WarmPod) -> tuple[bool, float, str]:
    """Order pods by how much it would cost to lose them: those that stand ready and longest come first."""
    return pod.state is not PodState.READY, pod.made_at, pod.name


def _in_order(pods: Iterable[WarmPod]) -> list[str]:
    return [pod.name for pod in sorted(pods, key=_worth)]


def _names(pods: Iterable[WarmPod]) -> tuple[str, ...]:
    return tuple(pod.name for pod in pods)


def _gives_up_at(pods: Iterable[WarmPod]) -> float | None:
    """Return when the first of the pods that are starting is given up."""
    return min((pod.made_at + START_SECONDS for pod in pods if pod.state is PodState.STARTING), default=None)
