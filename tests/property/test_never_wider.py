"""A run under way is never widened: no sequence of edits, deletions, failures and restarts gives it more than it had.

The real controller and the gateway's real view stand on one cluster in memory. A run is admitted; then anything
happens, in any order. After each step the run may do at most what its pinned bundle lets it, and nothing that is not
granted at that moment, as far as the gateway can see.
"""

import asyncio
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import bundles
from tests.support.authority_of_run import NOTHING, Authority, authority_of, excess
from tests.support.bundles import a_rule, a_tool
from tests.support.controlled import AGENT, POD, RUN, Controlled
from tests.support.objects import NAMESPACE, a_grant, a_policy, a_run, an_agent, an_object

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.core.compile import load_bundle
from remit.core.digest import canonical
from remit.gateway import store as kinds
from remit.gateway.authority import Authority as View
from remit.gateway.authority import Compiled, Engines

ENGINES = Engines(CelEngine(), JsonSchemaEngine())
CORE = ("ToolGrant", NAMESPACE, "core")
MODEL = ("ToolGrant", NAMESPACE, "provider")
POLICY = ("Policy", NAMESPACE, "rules")
BY_NAME = {kind.name: kind for kind in kinds.WATCHED}
CREDENTIAL = {"header": "X-Key", "secretName": "clerk", "secretKey": "key"}
BROKEN = a_rule("broken", when="arguments.(")

Step = tuple[str, Any]


def tools(*amounts: int, risk: str = "Financial", price: int = 10, seconds: int = 30) -> list[dict[str, Any]]:
    """Tools whose constraint allows amounts up to the first; more than one makes another tool."""
    bound = {"expression": f"arguments.amount <= {amounts[0]}", "message": "too much"}
    first = a_tool(risk=risk, constraints=[bound], priceMicroUSD=price, timeoutSeconds=seconds)
    return [first, *(a_tool(f"wire-{amount}") for amount in amounts[1:])]


def models(*names: str, price: int = 600_000) -> dict[str, Any]:
    """The model's upstream with these models."""
    figures = {"inputMicroUSDPerMillionTokens": price, "outputMicroUSDPerMillionTokens": price, "tokensPerKiB": 512}
    entries = [{"name": name, **figures} for name in names]
    return {"model": {"api": "OpenAI", "baseURL": "http://model.example/v1", "models": entries}}


EDITS: dict[tuple[str, str, str], list[dict[str, Any]]] = {
    CORE: [
        {"tools": tools(100)},
        {"tools": tools(10_000)},
        {"tools": tools(100, 5)},
        {"tools": tools(10_000, 5, 6, risk="ReadOnly", price=0, seconds=600)},
        {"suspended": True},
        {"suspended": False},
        {"notAfter": "2026-11-21T12:00:30Z"},
        {"notAfter": "2099-01-01T00:00:00Z"},
        {"purposes": ["refund"]},
        {"purposes": ["card-dispute", "refund"]},
        {"credentials": [CREDENTIAL]},
        {"credentials": [{**CREDENTIAL, "secretName": "admin"}]},
        {"upstream": {"mcp": {"url": "http://core.example/mcp"}}},
        {"upstream": {"mcp": {"url": "http://elsewhere.example/mcp"}}},
        {"agents": {"names": ["other"]}},
        {"agents": {"names": ["teller", "other"]}},
    ],
    MODEL: [
        {"upstream": models("small")},
        {"upstream": models("small", "large", price=0)},
        {"suspended": False},
    ],
    POLICY: [
        {"rules": [a_rule()]},
        {"rules": [a_rule(), a_rule("no", effect="Deny", tools=["core/credit"])]},
        {"rules": [a_rule("some", when="arguments.amount < 50")]},
        {"rules": []},
        {"rules": [BROKEN]},
        {"budgets": [bundles.a_budget()]},
        {"budgets": [bundles.a_budget(toolCalls=1, tokens=1)]},
        {"budgets": [bundles.a_budget(toolCalls=10**9, tokens=10**9, costMicroUSD=10**9, handoffPercent=1)]},
    ],
    AGENT: [
        {"loop": {"maxIterations": 5}},
        {"loop": {"maxIterations": 1000}},
        {"purposes": ["card-dispute", "refund"]},
        {"instructions": {"inline": "Pay whatever is asked for."}},
        {"model": {"grant": "provider", "name": "small", "maxOutputTokens": 10**6}},
        {"model": {"grant": "provider", "name": "large"}},
        {"warm": {"replicas": 3}},
        {"sandbox": {"cpuMillis": 64_000}},
    ],
}
EDITINGS: list[Step] = [("edit", (place, fields)) for place, all_fields in EDITS.items() for fields in all_fields]
HAPPENINGS: list[Step] = [
    ("made anew", CORE),
    ("deleted", CORE),
    ("made", CORE),
    ("gateway restarts", None),
    ("controller restarts", None),
    ("watch is away", None),
    ("watch is back", None),
    ("revision is deleted", None),
    ("time passes", None),
    ("run is suspended", None),
    ("run is resumed", None),
    ("pod is lost", None),
]
ENDS: list[Step] = [
    ("made anew", AGENT),
    ("made anew", MODEL),
    ("made anew", POLICY),
    ("deleted", POLICY),
    ("made", POLICY),
    ("edit", (MODEL, {"suspended": True})),
    ("edit", (AGENT, {"lifecycle": "Suspended"})),
    ("edit", (AGENT, {"lifecycle": "Active"})),
]
"""What ends a run: an agent without its model or under no policy can do nothing."""
GOES_ON = st.sampled_from([*EDITINGS, *HAPPENINGS])
ANYTHING = st.sampled_from([*EDITINGS, *HAPPENINGS, *ENDS])
STEPS = st.tuples(st.lists(GOES_ON, min_size=1, max_size=12), st.lists(ANYTHING, max_size=4)).map(
    lambda both: [*both[0], *both[1]]
)


@dataclass
class World:
    """The controller, the gateway's view, and a run that was admitted."""

    team: Controlled = field(default_factory=Controlled)
    view: View = field(init=False)
    deaf: bool = False
    kept: dict[str, bytes] = field(default_factory=dict)
    """Bundles in the ledger: those that the run has used."""
    gone: dict[Any, dict[str, Any]] = field(default_factory=dict)
    """What was deleted, to be made again."""
    pinned: Compiled = field(init=False)
    revision: Any = None

    async def begin(self) -> None:
        """Admit a run, and let it make its first call."""
        core = bundles.a_grant("core", *tools(1_000, 5), credentials=[CREDENTIAL])["spec"]
        await self.team.apply(
            a_policy(), a_grant(upstream=models("small")), an_object("ToolGrant", "core", core), an_agent()
        )
        await self.team.apply(a_run(retry={"limit": 3, "backoffSeconds": 1}))
        await self.team.say(POD, phase="Running")
        self.team.cluster.listeners.append(self.hear)
        self.restart_gateway()
        run = self.team.cluster.objects[RUN]
        self.revision = run["status"]["revision"]
        held = self.team.cluster.objects["ControllerRevision", NAMESPACE, self.revision["name"]]
        self.kept[self.revision["digest"]] = canonical(held["data"])
        self.pinned = load_bundle(deepcopy(held["data"]), rules=ENGINES.rules, schemas=ENGINES.schemas)

    def restart_gateway(self) -> None:
        """A new process lists everything."""
        self.view = View(
            self.team.cluster,
            self.team.clock,
            ENGINES,
            install_namespace="remit-system",
            bound_seconds=9,
            resync_seconds=300,
        )
        self.deaf = False
        for thing in self.team.cluster.objects.values():
            if (kind := BY_NAME.get(thing["kind"])) is not None:
                self.view._put(kind, thing)

    def hear(self, change: str, thing: dict[str, Any]) -> None:
        """Tell the gateway of a change, unless its watch is away."""
        kind = BY_NAME.get(thing["kind"])
        if self.deaf or kind is None:
            return
        if change == "DELETED":
            self.view._drop(kind, kinds.key_of(thing))
        else:
            self.view._put(kind, thing)

    def relist(self) -> None:
        """The watch is back: all is listed, what is gone is dropped."""
        self.deaf = False
        for kind in kinds.WATCHED:
            listed: list[kinds.Stored] = [
                thing for thing in self.team.cluster.objects.values() if thing["kind"] == kind.name
            ]
            self.view._put_all(kind, listed)

    def may_do(self) -> tuple[Authority, Authority]:
        """Return what the run may do, and what the live bundle alone would let it."""
        run = self.view.store.get(kinds.RUN, NAMESPACE, "dispute-1")
        if run is None:
            return NOTHING, NOTHING
        live = self.view.live(NAMESPACE, "teller")
        revision = run["status"].get("revision") or {}
        if self.view.store.get(kinds.REVISION, NAMESPACE, revision.get("name", "")) is None:
            document = self.kept.get(revision.get("digest", ""))
            assert document is None or self.view.learn(revision["digest"], document)
        now = self.team.clock.now()
        return (
            authority_of(dict(run), self.view.pinned(NAMESPACE, revision), live, now=now),
            authority_of(dict(run), live, live, now=now),
        )

    async def take(self, step: Step) -> None:
        """Let one thing happen, and the controller do what it does."""
        what, which = step
        await getattr(self, "_" + what.replace(" ", "_"))(which)
        await self.team.settle()

    async def _edit(self, which: Any) -> None:
        place, fields = which
        if place in self.team.cluster.objects:
            await self.team.change(place, **deepcopy(fields))

    async def _deleted(self, place: Any) -> None:
        if place in self.team.cluster.objects:
            self.gone[place] = deepcopy(self.team.cluster.objects[place])
            await self.team.delete(place)

    async def _made(self, place: Any) -> None:
        if place in self.gone and place not in self.team.cluster.objects:
            again = self.gone.pop(place)
            metadata = {
                key: again["metadata"][key] for key in ("namespace", "name", "labels") if key in again["metadata"]
            }
            await self.team.apply({**again, "metadata": metadata, "status": {}})

    async def _made_anew(self, place: Any) -> None:
        await self._deleted(place)
        await self._made(place)

    async def _gateway_restarts(self, _: Any) -> None:
        self.restart_gateway()

    async def _controller_restarts(self, _: Any) -> None:
        self.team.restart()

    async def _watch_is_away(self, _: Any) -> None:
        self.deaf = True

    async def _watch_is_back(self, _: Any) -> None:
        self.relist()

    async def _revision_is_deleted(self, _: Any) -> None:
        place = ("ControllerRevision", NAMESPACE, self.revision["name"])
        if place in self.team.cluster.objects:
            await self.team.delete(place)

    async def _time_passes(self, _: Any) -> None:
        await self.team.later(61)

    async def _run_is_suspended(self, _: Any) -> None:
        await self.team.change(RUN, desired="Suspended")

    async def _run_is_resumed(self, _: Any) -> None:
        await self.team.change(RUN, desired="Running")

    async def _pod_is_lost(self, _: Any) -> None:
        name = (self.team.status().get("pod") or {}).get("name", "")
        if ("Pod", NAMESPACE, name) in self.team.cluster.objects:
            await self.team.delete(("Pod", NAMESPACE, name))
            await self.team.later(30)


async def held(steps: list[Step]) -> list[Authority]:
    """Take the steps; after each, hold what the run may do against what it was admitted with and what is granted."""
    world = World()
    await world.begin()
    run = world.team.cluster.objects[RUN]
    admitted = authority_of(dict(run), world.pinned, world.pinned, now=world.team.clock.now())
    seen = []
    for step in steps:
        await world.take(step)
        may, live = world.may_do()
        assert excess(may, admitted) == [], step
        assert may.calls <= live.calls, step
        assert world.team.status().get("revision") == world.revision, step
        seen.append(may)
    return seen


@given(STEPS)
def test_nothing_that_happens_widens_a_run_under_way(steps: list[Step]) -> None:
    asyncio.run(held(steps))


def sentence(step: Step) -> str:
    """Name a step for a person."""
    what, which = step
    place, fields = which if what == "edit" else (which, {})
    return " ".join([what, place[2] if place else "", str(fields)[:60] if fields else ""]).strip()


@pytest.mark.parametrize("step", [*EDITINGS, *HAPPENINGS, *ENDS], ids=sentence)
def test_nothing_by_itself_widens_a_run_under_way(step: Step) -> None:
    asyncio.run(held([step]))


def test_all_edits_one_after_the_other_widen_nothing() -> None:
    asyncio.run(held(EDITINGS))


def test_what_was_taken_back_comes_back_as_it_was_admitted() -> None:
    wider = {"tools": tools(10_000, 5, 6)}
    steps: list[Step] = [
        ("edit", (CORE, {"suspended": True})),
        ("edit", (CORE, wider)),
        ("edit", (CORE, {"suspended": False})),
        ("made anew", CORE),
        ("gateway restarts", None),
    ]
    _, _, resumed, anew, restarted = asyncio.run(held(steps))
    assert (("core", "credit"), 10) in resumed.calls
    assert resumed.calls == anew.calls == restarted.calls


def test_an_agent_made_again_under_its_name_is_another() -> None:
    (seen,) = asyncio.run(held([("made anew", AGENT)]))
    assert seen == NOTHING
