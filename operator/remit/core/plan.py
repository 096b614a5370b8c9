"""From what is wanted and what is seen to what is to be done, in an order that is safe to break off anywhere. Pure.

INVARIANT: no prefix of any plan leaves a pod without its NetworkPolicy. Protection is made first and taken away
last; a pod stands alone in its plan, and only when all that protects it is seen in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remit.core.openings import is_widened

Manifest = Mapping[str, Any]
CREATION_ORDER = ("NetworkPolicy", "ServiceAccount", "ControllerRevision", "Pod")
EXACT = frozenset({"NetworkPolicy"})
"""What others add to its spec is not theirs: it would open, or leave out, a sandbox."""
UNCHANGEABLE = frozenset({"ControllerRevision", "Pod"})
"""What is not as wanted is deleted and made anew."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Which object."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of a child that may be changed."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Create:
    """Creation of a child that is never changed: a pod, a revision."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletion of exactly this object."""

    api_version: str
    reference: Reference
    uid: str


Action = Apply | Create | Delete


def reference_of(manifest: Manifest) -> Reference:
    """Return which object the manifest is."""
    metadata = manifest["metadata"]
    return Reference(str(manifest["kind"]), str(metadata.get("namespace", "")), str(metadata["name"]))


def matches(wanted: Any, seen: Any) -> bool:
    """Tell whether what is seen holds all that is wanted; what others added to it is theirs."""
    if isinstance(wanted, Mapping):
        return isinstance(seen, Mapping) and all(
            matches(value, seen.get(key)) or (value in ({}, []) and key not in seen) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return isinstance(seen, list | tuple) and len(wanted) == len(seen) and all(map(matches, wanted, seen))
    return bool(wanted == seen)


def is_leaving(manifest: Manifest) -> bool:
    """Tell whether the object is being deleted."""
    return bool(manifest["metadata"].get("deletionTimestamp"))


def is_in_place(wanted: Manifest, seen: Manifest | None) -> bool:
    """Tell whether a child is there as it should be, and to stay."""
    if seen is None or is_leaving(seen) or not matches(wanted, seen):
        return False
    if wanted["kind"] == "Pod":
        return not is_widened(wanted, seen)
    return wanted["kind"] not in EXACT or matches(seen["spec"], wanted["spec"])


def missing(wanted: Iterable[Manifest], seen: Mapping[Reference, Manifest]) -> tuple[Manifest, ...]:
    """Return the children that are not in place, in the order in which they are made."""
    absent = (child for child in wanted if not is_in_place(child, seen.get(reference_of(child))))
    return tuple(sorted(absent, key=lambda child: CREATION_ORDER.index(child["kind"])))


def plan(
    wanted: Sequence[Manifest], seen: Mapping[Reference, Manifest], surplus: Iterable[Manifest] = ()
) -> tuple[Action, ...]:
    """Return what to do: first what protects, then, in a plan of its own, what is protected, last what is too much.

    A pod is created only by a plan that starts with everything else in place; a pod that stands but is not as
    wanted is deleted, never changed.
    """
    protection = [child for child in wanted if child["kind"] != "Pod"]
    if absent := missing(protection, seen):
        return tuple(_place(child, seen.get(reference_of(child))) for child in absent)
    pods = missing([child for child in wanted if child["kind"] == "Pod"], seen)
    return (*(_place(pod, seen.get(reference_of(pod))) for pod in pods), *removal(surplus))


def _place(child: Manifest, seen: Manifest | None) -> Action:
    if child["kind"] not in UNCHANGEABLE:
        return Apply(child)
    return Create(child) if seen is None else deletion(seen)


def removal(surplus: Iterable[Manifest]) -> tuple[Action, ...]:
    """Return the deletions, pods first; what is leaving already is left to leave."""
    ordered = sorted(surplus, key=lambda child: -CREATION_ORDER.index(child["kind"]))
    return tuple(deletion(child) for child in ordered if not is_leaving(child))


def deletion(child: Manifest) -> Delete:
    """Return the deletion of exactly that object."""
    return Delete(str(child["apiVersion"]), reference_of(child), str(child["metadata"]["uid"]))
