"""One program's way to the apiserver: every write numbered, every watch frame parsed, one plan carried out."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from campaigns.proxy.plan import NOTHING, Fault, Plan, Write
from campaigns.proxy.requests import target_of

FROZEN_SECONDS = 2.0
HIDDEN_SECONDS = 0.6
PAST_SECONDS = 3.0
FAREWELLS = {
    410: ("Expired", "too old resource version"),
    500: ("InternalError", "etcdserver: no leader"),
}
LATE_SECONDS = 0.5


@dataclass(eq=False)
class Stream:
    """One watch under way."""

    kind: str
    """The plural."""
    transport: asyncio.Transport | None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the apiserver is to be taken for having ended it with an error."""
    code: int = 410
    """Which."""
    is_mute: bool = False
    """Whether this stream alone says nothing any more, not even that it ends."""

    def farewell(self) -> bytes:
        """Return the frame of the error."""
        reason, message = FAREWELLS[self.code]
        head = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        status = {**head, "reason": reason, "code": self.code, "message": message}
        return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


@dataclass
class Gate:
    """What the proxy knows and does for one program. `replace` kills the program and starts it anew."""

    namespace: str
    replace: Callable[[], None]
    plan: Plan = NOTHING
    trace: list[Write] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    """The resource version after each write."""
    writes: int = 0
    listed: int = 0
    """How many collections the program has listed since it was last started."""
    is_done: bool = False
    """Whether the plan's write came."""
    fired: asyncio.Event = field(default_factory=asyncio.Event)
    streams: set[Stream] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    """Kinds whose watches say nothing, not even that they end; "*" for all."""
    resets: int = 0
    """How many watches more are reset while they are set up."""
    away: bool = False
    """Whether nothing comes through at all."""
    on_write: Callable[[str], None] = field(default=lambda _: None)
    on_lease: Callable[[], None] = field(default=lambda: None)
    """Called when the program has written its lease."""
    _hold: tuple[int, Callable[[], None]] | None = None
    _held: asyncio.Event | None = None
    _numbers: Counter[str] = field(default_factory=Counter)
    _thawed: asyncio.Event = field(default_factory=asyncio.Event)
    _past: str = ""
    _hiding: bool = False
    _disturbances: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._thawed.set()

    def number(self, name: str) -> Fault:
        """Number a write; returns what is to happen to it."""
        self._numbers[name] += 1
        write = Write(name, self._numbers[name])
        self.trace.append(write)
        self.writes += 1
        self.on_write(name)
        if self.is_done or write != self.plan.at:
            return Fault.NONE
        self.is_done = True
        self.fired.set()
        return self.plan.fault

    def hold_after(self, writes: int, then: Callable[[], None]) -> None:
        """Let so many writes pass; hold the next one back, until `let_go`, and do `then` at once."""
        self._hold = (writes, then)

    def let_go(self) -> None:
        """Let what is held back arrive; hold nothing from now on."""
        self._hold = None
        if self._held is not None:
            self._held.set()

    async def held(self) -> None:
        """Wait, if this write is the one to be held back."""
        if self._hold is None:
            return
        left, then = self._hold
        if left > 0:
            self._hold = (left - 1, then)
            return
        self._hold, self._held = None, asyncio.Event()
        then()
        await self._held.wait()

    def note_version(self, stored: Any) -> None:
        """Remember how far the cluster was after a write."""
        if isinstance(stored, dict) and (version := (stored.get("metadata") or {}).get("resourceVersion")):
            self.versions.append(int(version))

    def past(self) -> str:
        """Return the version that stale views are of; empty when nothing is stale."""
        return self._past

    async def thaw(self) -> None:
        """Wait until watches may tell again."""
        await self._thawed.wait()

    def is_hidden(self, event: str) -> bool:
        """Tell whether an event is never told."""
        return self._hiding and event in {"ADDED", "MODIFIED", "DELETED"}

    def is_silent(self, kind: str) -> bool:
        """Tell whether watches of the kind say nothing."""
        return bool(self.silent & {"*", kind})

    def disturb_soon(self, fault: Fault) -> None:
        """Begin to disturb the view, beside whatever goes on."""
        task = asyncio.create_task(self.disturb(fault))
        self._disturbances.add(task)
        task.add_done_callback(self._disturbances.discard)

    async def disturb(self, fault: Fault) -> None:
        """Do to the program's view what the plan says, for its time."""
        match fault:
            case Fault.CUT:
                self.cut()
            case Fault.FROZEN:
                await self._freeze(FROZEN_SECONDS)
            case Fault.HIDDEN:
                self._hiding = True
                await asyncio.sleep(HIDDEN_SECONDS)
                self._hiding = False
            case Fault.GONE:
                self._past = self._before()
                self.gone()
                await self._freeze(PAST_SECONDS)
            case Fault.TIME_TRAVEL:
                self._past = self._before()
                self.replace()
                await self._freeze(PAST_SECONDS)
            case _:
                return

    def cut(self, kinds: Iterable[str] = ("*",)) -> None:
        """Break watches off without a word."""
        for stream in list(self._of(kinds)):
            if stream.transport is not None:
                stream.transport.abort()

    def mute(self, kind: str) -> None:
        """Have the kind's watch that is under way say nothing any more; a later one speaks."""
        for stream in self._of([kind]):
            stream.is_mute = True

    def gone_after(self, kinds: Iterable[str], code: int = 410) -> None:
        """Hide what happens for a moment, then end the watches with an error."""
        for stream in self._of(kinds):
            stream.code, stream.is_mute = code, True
        asyncio.get_running_loop().call_later(LATE_SECONDS, self.gone, list(kinds))

    def gone(self, kinds: Iterable[str] = ("*",)) -> None:
        """Say to watches that they are too far behind."""
        for stream in self._of(kinds):
            stream.ended.set()

    def _of(self, kinds: Iterable[str]) -> list[Stream]:
        wanted = set(kinds)
        return [stream for stream in self.streams if wanted & {"*", stream.kind}]

    def _before(self) -> str:
        at = max(0, len(self.versions) - 1 - self.plan.lag)
        return str(self.versions[at]) if self.versions else ""

    async def _freeze(self, seconds: float) -> None:
        self._thawed.clear()
        await asyncio.sleep(seconds)
        self._past = ""
        self._thawed.set()


def is_watch(request: web.BaseRequest) -> bool:
    """Tell whether a request opens a watch."""
    return request.method == "GET" and request.query.get("watch") in {"true", "1"}


def is_list(request: web.BaseRequest) -> bool:
    """Tell whether a request reads a collection."""
    target = target_of(request.path)
    return request.method == "GET" and target is not None and not target.name and not is_watch(request)
