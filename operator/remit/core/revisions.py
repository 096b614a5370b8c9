"""The revisions of an agent: which bundle is in force, which earlier ones stay, and until when. Pure.

A revision stays while it is in force or a run under way is pinned to it, and a moment longer: a run may be about to
start under it. The ledger keeps the bytes of every bundle that was used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from remit.api.bundle import Bundle
from remit.core.digest import digest_of

Object = Mapping[str, Any]
GRACE_SECONDS: Final = 60.0
"""How long a revision stays that nobody needs any more."""
MOST_UNNEEDED: Final = 16
"""How many such revisions stay at most, the newest."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The bundle in force: its document and its digest."""

    document: Object
    digest: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A revision that is there, its bundle's digest, and since when nobody needs it (None: somebody does)."""

    revision: Object
    digest: str
    unneeded_since: float | None = None

    @property
    def name(self) -> str:
        """Name of the ControllerRevision."""
        return str(self.revision["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Sorted:
    """What stays, newest first, what goes, and when to look again."""

    stay: tuple[Kept, ...]
    go: tuple[Kept, ...]
    next_look: float | None


def admitted(bundle: Bundle, digest: str, before: Object, held: Object | None) -> Admitted:
    """Return what comes into force: the revision before (name and digest), where the bundle says nothing else.

    An agent's generation also counts what is no authority, as the number of its warm pods. `held` is what the name of
    the revision before stands for.
    """
    if held is None or digest == before.get("digest"):
        return Admitted(bundle.document(), digest)
    if bundle.says_the_same(held["data"]) and digest_of(held["data"]) == before.get("digest"):
        return Admitted(held["data"], str(before["digest"]))
    return Admitted(bundle.document(), digest)


def sort_out(revisions: Iterable[Object], needed: Collection[str], known: Mapping[str, Kept], *, now: float) -> Sorted:
    """Say which revisions stay. `known` is what was kept at the last look, by UID."""
    newest_first = sorted(revisions, key=lambda item: -int(item.get("revision", 0)))
    kept = [_kept(item, needed, known, now) for item in newest_first]
    unneeded = [each for each in kept if each.unneeded_since is not None]
    gone = {each.name for place, each in enumerate(unneeded) if place >= MOST_UNNEEDED or _is_over(each, now)}
    stay = tuple(each for each in kept if each.name not in gone)
    ends = [each.unneeded_since + GRACE_SECONDS for each in stay if each.unneeded_since is not None]
    return Sorted(stay, tuple(each for each in kept if each.name in gone), min(ends, default=None))


def earlier(kept: Sequence[Kept], in_force: str) -> list[dict[str, str]]:
    """Return the earlier revisions as a status lists them."""
    return [{"name": each.name, "digest": each.digest} for each in kept if each.name != in_force]


def _kept(revision: Object, needed: Collection[str], known: Mapping[str, Kept], now: float) -> Kept:
    before = known.get(revision["metadata"]["uid"])
    digest = before.digest if before is not None else digest_of(revision.get("data"))
    if revision["metadata"]["name"] in needed:
        return Kept(revision, digest)
    since = before.unneeded_since if before is not None and before.unneeded_since is not None else now
    return Kept(revision, digest, since)


def _is_over(kept: Kept, now: float) -> bool:
    return kept.unneeded_since is not None and now >= kept.unneeded_since + GRACE_SECONDS
