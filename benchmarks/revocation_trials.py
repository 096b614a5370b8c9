"""Trials of `revocation`: authority is taken back at a random moment while callers hammer, and the witness is asked.

What was forwarded after the acknowledgement is decided twice. By the witness's clock: what it received later than the
entry that acknowledges. And by evidence: of that, what was not over, cut and its outcome recorded, before the entry;
for the witness, too, reads a little after the kernel has received.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.processes import BenchmarkError
from benchmarks.revocation_world import Gateway, Kube, Lane, Run, rule
from remit.adapters.clock import SystemClock
from remit.adapters.signing import ed25519_holds
from remit.cli.revoke import Scope, revocation
from remit.core.digest import digest_of
from remit.core.verify import verify

CALLERS = 4
"""Callers of the run under trial; each stops at its first refusal."""
CALLS_BEFORE = 12
LATEST_SECONDS = 0.05
WAIT_SECONDS = 30.0
POLL_SECONDS = 0.005
MILLISECOND = 0.001
"""The acknowledgement's time is cut to it."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One way of taking authority back, and of giving it again."""

    name: str
    take: Callable[[Lane, Run], Awaitable[Object]]
    """Returns the object as it is then."""
    give: Callable[[Lane], Awaitable[Object | None]]


@dataclass(frozen=True)
class Seen:
    """What one trial came to, in seconds from before the edit was sent."""

    way: str
    new_call: float
    """Until the witness received a call of the run for the last time."""
    in_flight: float
    """Until the call that it kept was let go."""
    acknowledged: float
    late: int
    """Received after the acknowledgement's time, and over before it by evidence."""
    forwarded: int
    """Forwarded after the acknowledgement."""


@dataclass
class Notes:
    """The witness's notes, read as they grow."""

    path: Path
    place: int = 0
    by_trial: dict[str, list[Object]] = field(default_factory=dict)

    def of(self, trial: str) -> list[Object]:
        """Return what was noted of a trial so far."""
        with self.path.open("rb") as file:
            file.seek(self.place)
            *lines, _ = file.read().split(b"\n")
        self.place += sum(len(line) + 1 for line in lines)
        for line in lines:
            note = json.loads(line)
            self.by_trial.setdefault(note["trial"], []).append(note)
        return self.by_trial.get(trial, [])


@dataclass
class Trials:
    """What trials share."""

    kube: Kube
    gateway: Gateway
    notes: Notes
    session: aiohttp.ClientSession
    moments: random.Random

    async def call(self, run: Run, trial: str, number: int, *, hold: bool = False) -> str:
        """Call the tool; return the refusal's reason, empty when it was allowed."""
        params = {
            "name": "look",
            "arguments": {"trial": trial, "call": number, "hold": hold},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "remit.dev/call-id": f"{trial}-{number}",
            },
        }
        headers = {
            "Authorization": f"Bearer {run.token}",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": "look",
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        async with self.session.post(f"{self.gateway.url}/mcp", json=body, headers=headers) as answer:
            told: Object = await answer.json(content_type=None)
        reason: str = told.get("result", {}).get("_meta", {}).get("remit.dev/reason", "")
        return reason or str(told.get("error", {}).get("reason", ""))

    async def until_allowed(self, run: Run, trial: str) -> None:
        """Wait until the gateway serves the run."""
        async with asyncio.timeout(WAIT_SECONDS):
            while reason := await self.call(run, f"{trial}-warm", self.moments.getrandbits(40)):
                if reason not in PASSING:
                    raise BenchmarkError(f"the run of {trial} is refused before anything was taken back: {reason}")
                await asyncio.sleep(POLL_SECONDS)

    async def hammer(self, run: Run, trial: str, first: int) -> None:
        """Call and call, until refused."""
        number = first
        while not await self.call(run, trial, number):
            number += CALLERS

    async def until_noted(self, trial: str, wanted: Callable[[list[Object]], object]) -> None:
        """Wait until the witness has noted something."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not wanted(self.notes.of(trial)):  # noqa: ASYNC110 - a file of another process
                await asyncio.sleep(POLL_SECONDS)

    async def acknowledged(self, path: str, generation: int) -> int:
        """Wait for the gateway's word on an object; return its place in the log."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                enforced = (await self.kube.call("GET", path)).get("status", {}).get("enforced", {})
                if enforced.get("generation", 0) >= generation:
                    return int(enforced["logIndex"])
                await asyncio.sleep(POLL_SECONDS)

    async def evidence(self, lane: Lane, run: Run) -> Evidence:
        """Export the run's evidence, and verify it."""
        url = f"{self.gateway.control_url}/control/v1/runs/{lane.namespace}/{run.name}/export"
        async with self.session.get(url) as answer:
            files = {name: text.encode() for name, text in (await answer.json())["files"].items()}
        report = verify(files, self.gateway.verifier, ed25519_holds)
        if report.fault is not None:
            raise BenchmarkError(f"evidence of {run.name}: {report.fault}")
        return Evidence.of(files)

    async def trial(self, lane: Lane, way: Way, name: str) -> Seen:
        """Take authority back once."""
        run = await lane.new_run()
        await self.until_allowed(run, name)
        kept = asyncio.create_task(self.call(run, name, -1, hold=True))
        callers = [asyncio.create_task(self.hammer(run, name, first)) for first in range(CALLERS)]
        await self.until_noted(name, lambda notes: len(notes) > CALLS_BEFORE and any(note["hold"] for note in notes))
        await asyncio.sleep(self.moments.uniform(0, LATEST_SECONDS))
        before = SystemClock().now()
        taken = await way.take(lane, run)
        place = await self.acknowledged(path_of(lane, taken), taken["metadata"]["generation"])
        if not await self.call(run, name, -2):
            raise BenchmarkError(f"{name}: a call after the acknowledgement was allowed")
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.gather(kept, *callers)
        await self.until_noted(name, lambda notes: any("lost" in note for note in notes))
        seen = judged(way, before, self.notes.of(name), (await self.evidence(lane, run), place))
        given = await way.give(lane)
        if given is not None:
            await self.acknowledged(path_of(lane, given), given["metadata"]["generation"])
        return seen


@dataclass(frozen=True)
class Evidence:
    """A run's records by the digest of their arguments, and the acknowledgements beside them."""

    over_at: dict[str, int]
    """Place in the log of the outcome of the call with these arguments."""
    acknowledgements: dict[int, float]
    """Place in the log → when."""

    @classmethod
    def of(cls, files: dict[str, bytes]) -> Evidence:
        """Read an export that was verified."""
        over, acknowledged = {}, {}
        for name, content in files.items():
            folder, _, rest = name.partition("/")
            if folder == "entries" and b'"intent":' in content:
                predicate = json.loads(content)["predicate"]
                over[predicate["call"]["argumentsDigest"]] = index_of(files[f"proofs/{rest[:-5]}.tlog-proof"])
            elif folder == "acknowledgements" and rest.endswith(".json"):
                when = datetime.fromisoformat(json.loads(content)["predicate"]["time"]).timestamp()
                acknowledged[index_of(files[name[:-5] + ".tlog-proof"])] = when
        return cls(over, acknowledged)

    def acknowledged_at(self, place: int) -> float:
        """Return when the entry at this place of the log was made."""
        return self.acknowledgements[place]

    def was_over(self, note: Object, place: int) -> bool:
        """Tell whether the call that was received was over before the entry at this place."""
        arguments = {name: note[name] for name in ("trial", "call", "hold")}
        return self.over_at.get(digest_of(arguments).removeprefix("sha256:"), place) < place


def judged(way: Way, before: float, notes: Sequence[Object], acknowledged: tuple[Evidence, int]) -> Seen:
    """Put together what the witness and the evidence say."""
    evidence, place = acknowledged
    arrived = [note for note in notes if "at" in note]
    since = evidence.acknowledged_at(place)
    after = [note for note in arrived if note["at"] > since + MILLISECOND]
    forwarded = [note for note in after if not evidence.was_over(note, place)]
    return Seen(
        way=way.name,
        new_call=max(0.0, max(note["at"] for note in arrived) - before),
        in_flight=max(0.0, next(note["lost"] for note in notes if "lost" in note) - before),
        acknowledged=since - before,
        late=len(after) - len(forwarded),
        forwarded=len(forwarded),
    )


PASSING = frozenset({"RunNotFound", "RunNotActive", "BundleMissing", "Revoked", "GrantSuspended", "PolicyDenied"})
"""Refusals that the last trial's end, or a watch that has not told yet, explain."""


def index_of(proof: bytes) -> int:
    """Return the place in the log that a proof is of."""
    return int(proof.split(b"\n")[1].removeprefix(b"index "))


def path_of(lane: Lane, thing: Object) -> str:
    """Return the path of an object of the lane."""
    return lane.path(thing["kind"], thing["metadata"]["name"])


async def suspend_grant(lane: Lane, _run: Run) -> Object:
    """Suspend the tool's grant."""
    return await lane.kube.merge(lane.path("ToolGrant", "tools"), {"spec": {"suspended": True}})


async def resume_grant(lane: Lane) -> Object:
    """Resume the tool's grant."""
    return await lane.kube.merge(lane.path("ToolGrant", "tools"), {"spec": {"suspended": False}})


async def suspend_agent(lane: Lane, _run: Run) -> Object:
    """Suspend the agent."""
    return await lane.kube.merge(lane.path("Agent", "clerk"), {"spec": {"lifecycle": "Suspended"}})


async def resume_agent(lane: Lane) -> Object:
    """Resume the agent."""
    return await lane.kube.merge(lane.path("Agent", "clerk"), {"spec": {"lifecycle": "Active"}})


async def deny(lane: Lane, _run: Run) -> Object:
    """Have the policy deny everything."""
    return await lane.kube.merge(lane.path("Policy", "rules"), {"spec": {"rules": [rule("Deny")]}})


async def allow(lane: Lane) -> Object:
    """Have the policy allow everything."""
    return await lane.kube.merge(lane.path("Policy", "rules"), {"spec": {"rules": [rule("Allow")]}})


async def revoke(lane: Lane, _run: Run) -> Object:
    """Revoke everything in the namespace, as `remit revoke --own` does."""
    return await lane.kube.create(lane.path("Policy"), revocation(Scope(lane.namespace, lane.namespace), "a trial"))


async def reinstate(lane: Lane) -> None:
    """Take the revocation away."""
    await lane.kube.call("DELETE", lane.path("Policy", Scope(lane.namespace, lane.namespace).name))


async def terminate(lane: Lane, run: Run) -> Object:
    """Terminate the run."""
    return await lane.kube.merge(lane.path("AgentRun", run.name), {"spec": {"desired": "Terminated"}})


async def nothing(_lane: Lane) -> None:
    """Give nothing again: the next trial has a run of its own."""


WAYS: Sequence[Way] = (
    Way("grant suspended", suspend_grant, resume_grant),
    Way("agent suspended", suspend_agent, resume_agent),
    Way("policy denies", deny, allow),
    Way("namespace revoked", revoke, reinstate),
    Way("run terminated", terminate, nothing),
)


async def tried(trials: Trials, lane: Lane, numbers: Sequence[int]) -> list[Seen]:
    """Make trials one after the other in a lane, each in the next way."""
    return [await trials.trial(lane, WAYS[number % len(WAYS)], f"{lane.namespace}-{number}") for number in numbers]
