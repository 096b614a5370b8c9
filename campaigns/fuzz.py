"""Objects fuzzed from their CRDs: every property added, deleted, emptied, extreme, hostile; and back again.

Each state that the apiserver takes must get a truthful condition from the controller and the real gateway's word, and
going back must restore what was there. What is refused is counted, too: it must be refused with a reason.
"""

import asyncio
import copy
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml
from tests.support.objects import a_grant, a_policy, a_run, an_agent

from campaigns.proxy.plan import NOTHING
from campaigns.runner import Arguments, logs
from campaigns.world.direct import DirectError, path_of
from campaigns.world.gateways import with_gateway
from campaigns.world.judge import judge
from campaigns.world.mutations import Mutation, mutations
from campaigns.world.plane import Plane, plane
from campaigns.world.stage import NotInTimeError, Stage, World, stage
from campaigns.world.state import State, difference
from remit.cli.manifests import find_root

FILES = {"Agent": "agents", "ToolGrant": "toolgrants", "Policy": "policies", "AgentRun": "agentruns"}
SHORT_STATES = 60
TOLD_WITHIN = 60.0
PROOF_WITHIN = 15.0
FINAL = frozenset({"lifecycle = Retired"})
"""States that nobody comes back from, by design."""
SETTLED = ("Agent", "ToolGrant", "Policy")
TOOL = {
    "name": "refund",
    "risk": "Financial",
    "inputSchema": {"type": "object", "properties": {"amount": {"type": "integer"}}},
    "constraints": [{"expression": "arguments.amount < 100", "message": "too much"}],
}
Object = dict[str, Any]


@dataclass
class Count:
    """What the states came to."""

    tried: int = 0
    taken: int = 0
    refused: int = 0
    restored: int = 0
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Say it in one line."""
        return (
            f"{self.tried} states tried: {self.taken} taken, every one with a truthful condition,"
            f" {self.refused} refused with a reason, {self.restored} restored by going back;"
            f" {len(self.faults)} violations"
        )


@dataclass(frozen=True)
class Candidate:
    """One state to try: an object of a kind with a changed spec."""

    kind: str
    name: str
    mutation: Mutation


def base() -> dict[str, Object]:
    """Return the objects that states are made from: all of them well, with most of their properties."""
    upstream = {"mcp": {"url": "http://core.example/mcp"}}
    return {
        "Policy": a_policy(),
        "ToolGrant": a_grant("core", upstream=upstream, tools=[TOOL]),
        "Agent": an_agent(),
        "AgentRun": a_run("fuzzed", case={"id": "c-1"}, input={"text": "hello"}),
    }


def states(chance: random.Random) -> list[Candidate]:
    """Return every state, in an order of the seed."""
    found = []
    for kind, thing in base().items():
        crd = yaml.safe_load((find_root() / "crds" / f"{FILES[kind]}.yaml").read_text())
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec = {key: value for key, value in thing["spec"].items() if key != "requester"}
        made = (each for each in mutations(schema, spec) if each.name not in FINAL)
        found += [Candidate(kind, thing["metadata"]["name"], each) for each in made]
    chance.shuffle(found)
    return found


async def main(arguments: Arguments) -> int:
    """Try every state, a few worlds beside each other."""
    with plane() as control_plane:
        return await on(control_plane, arguments)


async def on(control_plane: Plane, arguments: Arguments) -> int:
    """Try on this control plane; returns the violations."""
    chosen = states(random.Random(arguments.seed))
    chosen = chosen[:SHORT_STATES] if arguments.short else chosen
    async with stage(control_plane, logs("fuzz")) as the_stage:
        count = Count()
        if not arguments.prove:
            shares = [chosen[number :: arguments.jobs] for number in range(arguments.jobs)]
            async with asyncio.TaskGroup() as group:
                for share in shares:
                    group.create_task(try_all(the_stage, share, count, is_over=arguments.has_ended))
            arguments.say(count.line(), *(f"VIOLATION {fault}" for fault in count.faults[:40]))
        missed = [] if arguments.short else await prove(the_stage, chosen)
    return len(count.faults) + len(missed)


@asynccontextmanager
async def governed(the_stage: Stage, plant: str = "") -> AsyncIterator[World]:
    """A world with a controller and a real gateway, each behind a gate, and the base objects in it, all well."""
    async with the_stage.world(NOTHING, plant=plant) as world, with_gateway(world, plant=plant):
        await world.create(a_grant())
        await world.create(*(thing for kind, thing in base().items() if kind != "AgentRun"))
        for kind, name in (("ToolGrant", "core"), ("Policy", "rules"), ("Agent", "teller")):
            await world.stands(kind, name, "Ready")
        yield world


async def try_all(
    the_stage: Stage,
    share: Sequence[Candidate],
    count: Count,
    *,
    plant: str = "",
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Try states one after another in one world."""
    async with governed(the_stage, plant) as world:
        original = comparable(world)
        world.patience = PROOF_WITHIN if plant else TOLD_WITHIN
        for state in share:
            found = await try_one(world, state, original, count)
            count.faults += [f"{state.kind} {state.mutation.name}: {each}"[:500] for each in found]
            if (plant and count.faults) or is_over():
                break
        count.faults += [f"{world.namespace}: {each}" for each in judge(world, 0) + misjudged(world)]


async def try_one(world: World, state: Candidate, original: State, count: Count) -> list[str]:
    """Go to a state and back; returns what was wrong."""
    count.tried += 1
    try:
        if state.kind == "AgentRun":
            return await try_run(world, state, count)
        code, said = await replace(world, state.kind, state.name, state.mutation.spec)
        if code >= 400:
            count.refused += 1
            return [] if 400 <= code < 500 and said else [f"refused with {code} {said!r}"]
        count.taken += 1
        await told(world)
        await replace(world, state.kind, state.name, base()[state.kind]["spec"])
        await told(world)
        await world.until(lambda: not difference(original, comparable(world)), "back to what was there", world.patience)
        count.restored += 1
    except NotInTimeError as error:
        return [f"{error}; {difference(original, comparable(world))}; {untold(world)}"]
    except (DirectError, OSError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


async def try_run(world: World, state: Candidate, count: Count) -> list[str]:
    """Make a run of that spec; it must be said where it stands, and it must go when it is deleted."""
    name = f"run-{count.tried}"
    thing = {**base()["AgentRun"], "metadata": {"name": name, "namespace": world.namespace}}
    thing["spec"] = state.mutation.spec
    code, said = await world.stage.direct.send("POST", path_of("AgentRun", world.namespace), thing)
    if code >= 400:
        count.refused += 1
        return [] if code < 500 else [f"refused with {code} {said.get('message', '')!r}"]
    count.taken += 1
    await world.until(lambda: world.reason("AgentRun", name), f"run {name} is told where it stands", world.patience)
    await world.delete("AgentRun", name)
    await world.until(
        lambda: world.get("AgentRun", name) is None and not world.within("Pod"), "run and pod are gone", TOLD_WITHIN
    )
    count.restored += 1
    return []


async def replace(world: World, kind: str, name: str, spec: Mapping[str, Any]) -> tuple[int, str]:
    """Give an object another spec, whole; returns code and what was said."""
    path = path_of(kind, world.namespace, name)
    for _ in range(5):
        stored = await world.stage.direct.must("GET", path)
        code, said = await world.stage.direct.send("PUT", path, {**stored, "spec": copy.deepcopy(dict(spec))})
        if code != 409:
            break
    return code, str(said.get("message", ""))


async def told(world: World) -> None:
    """Wait until every object says where it stands, about itself as it is now."""
    await world.until(lambda: not untold(world), "every object says where it stands", world.patience)


def untold(world: World) -> list[str]:
    """Return the objects that do not, or whose gateway's word is about an earlier state."""
    found = []
    for kind in SETTLED:
        for thing in world.within(kind):
            name, status = thing["metadata"]["name"], thing.get("status") or {}
            generation = thing["metadata"]["generation"]
            if not world.reason(kind, name):
                found.append(f"{kind} {name} has no condition for generation {generation}")
            if kind != "Agent" and (status.get("enforced") or {}).get("generation") != generation:
                found.append(f"the gateway has no word on {kind} {name} for generation {generation}")
    return found


def comparable(world: World) -> State:
    """Return what going back must restore: all but the books that are kept of the past."""
    kept = {name: thing for name, thing in world.state().items() if not name.startswith("ControllerRevision/")}
    plain: State = json.loads(json.dumps(kept))
    for thing in plain.values():
        if isinstance(thing.get("status"), dict):
            thing["status"].pop("revisions", None)
    return plain


def misjudged(world: World) -> list[str]:
    """Return the objects that a program could not judge, as its log says: a refusal for want of understanding."""
    text = "".join(program.log.read_text(errors="replace") for program in world.programs if program.log.exists())
    return [line[:300] for line in text.splitlines() if "bundle does not compile" in line]


PROOF = (
    "told-about-no-generation",
    "raises-on-templates",
    "forgets-to-go-back",
    "gateway-mute",
    "reason-of-its-own",
)
PROOF_STATES = 40


async def prove(the_stage: Stage, chosen: Sequence[Candidate]) -> list[str]:
    """Plant each bug; returns those that no state brought to light."""
    missed = []
    policies = [state for state in chosen if state.kind == "Policy" and "256" not in state.mutation.name]
    some = sorted(policies, key=lambda state: "hostile" not in state.mutation.name)[:PROOF_STATES]
    for plant in PROOF:
        count = Count()
        try:
            await try_all(the_stage, some, count, plant=plant)
        except NotInTimeError as error:
            count.faults.append(str(error)[:300])
        print(f"planted {plant}: {f'caught, {count.faults[0][:160]}' if count.faults else 'NOT CAUGHT'}", flush=True)
        missed += [] if count.faults else [plant]
    print(f"planted bugs caught: {len(PROOF) - len(missed)} of {len(PROOF)}")
    return missed
