"""Knows of each watched kind when its watch last proved that it lives, and which kinds are to be listed anew.

kopf renews its watches, but it tells nobody that one is silent, nor what was deleted while one was away. So every
stream is asked to end soon: the answer to the next one is the proof. What stays away too long, and what kopf listed
again, is listed by us, and whoever is concerned looks. No I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from remit.controller.store import Watched
from remit.ports import Clock

STREAM_SECONDS: Final = 15
"""How long a stream is asked to last: its renewal is the proof of life of a kind where nothing happens."""
SILENT_SECONDS: Final = 25.0
"""A watch that gave no proof for so long may be dead: what it would have told is listed until it speaks again."""
LISTED_AGAIN_SECONDS: Final = 15.0
"""How often that is done."""
DEAF_SECONDS: Final = 30.0
"""When all watches have been silent for so long, they are begun anew."""
UNWELL_SECONDS: Final = 60.0
"""A process whose watch stays silent for so long is better started anew."""


class Watches:
    """The watches of the kinds, by what the apiserver answered to them."""

    def __init__(self, kinds: Iterable[Watched], clock: Clock, streamed: Collection[str] = ()) -> None:
        """Nothing was heard yet; what is streamed, is so without kopf."""
        self._streamed = frozenset(streamed)
        self._clock = clock
        self._kinds = {(kind.api_version, kind.plural): kind.kind for kind in kinds}
        self._heard: dict[str, float] = {}
        self._listed: dict[str, float] = {}
        """When kopf or we last listed the kind whole."""
        self._doubtful: set[str] = set()
        self._begun = clock.monotonic()

    def begin(self) -> None:
        """Note that all watches were begun anew just now."""
        self._begun = self._clock.monotonic()

    @property
    def are_deaf(self) -> bool:
        """Whether not one of kopf's has spoken for a while, however new they are."""
        last = max([self._begun, *(heard for kind, heard in list(self._heard.items()) if kind not in self._streamed)])
        return self._clock.monotonic() - last > DEAF_SECONDS

    def kind_of(self, path: str) -> str:
        """Return the watched kind that a URL's path lists or watches; empty for any other request."""
        parts = urlsplit(path).path.strip("/").split("/")
        root = next((at for at, part in enumerate(parts) if part in {"api", "apis"}), len(parts))
        width = 2 if parts[root : root + 1] == ["api"] else 3
        version, rest = "/".join(parts[root + 1 : root + width]), parts[root + width :]
        if len(rest) == 3 and rest[0] == "namespaces":  # noqa: PLR2004 - namespaces/NAME/PLURAL
            rest = rest[2:]
        return self._kinds.get((version, rest[0]), "") if len(rest) == 1 else ""

    def answered(self, path: str, *, watching: bool) -> None:
        """Note that the apiserver answered a list or a watch of kopf's."""
        kind = self.kind_of(path)
        if not kind:
            return
        if not watching and kind in self._listed:  # it lost its place: deletions since are told by nobody
            self._doubtful.add(kind)
        if not watching:
            self._listed.setdefault(kind, self._clock.monotonic())
        self.hear(kind)

    def hear(self, kind: str) -> None:
        """Note that the kind's watch lives."""
        self._heard[kind] = self._clock.monotonic()

    def silence_seconds(self) -> Mapping[str, float]:
        """Return for each kind that was ever heard how long it has been silent."""
        now = self._clock.monotonic()
        return {kind: now - heard for kind, heard in list(self._heard.items())}

    def silent(self, bound: float = UNWELL_SECONDS) -> list[str]:
        """Return the kinds whose watch gave no proof of life for longer than the bound."""
        return sorted(kind for kind, seconds in self.silence_seconds().items() if seconds > bound)

    def due(self) -> list[str]:
        """Return the kinds to be listed now: what their watches told may not be all."""
        now = self._clock.monotonic()
        quiet = {
            kind for kind in self.silent(SILENT_SECONDS) if now - self._listed.get(kind, 0.0) >= LISTED_AGAIN_SECONDS
        }
        return sorted(self._doubtful | quiet)

    def listed(self, kind: str) -> None:
        """Note that we listed the kind whole, and took it in."""
        self._listed[kind] = self._clock.monotonic()
        self._doubtful.discard(kind)
