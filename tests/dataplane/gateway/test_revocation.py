"""What is taken back is over when the gateway says so: whatever a call was doing, and however it was taken back."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from tests.dataplane.gateway.test_authority import TAKEN_BACK, Change, calls_of, enforced, refusal, waiting_for
from tests.support.fake_authority import FakeCluster, Stored, a_policy
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway_process import Served, reason_of
from tests.support.governed import CHAT, a_chat, governed
from tests.support.memory_ledger import MemoryLedger
from tests.support.polling import eventually_async

from remit.adapters.signing import ed25519_holds
from remit.cli.revoke import Scope, revocation
from remit.core.acknowledgements import owner_of
from remit.core.notes import parse_verifier_key
from remit.core.verify import Report, verify
from remit.gateway.settings import Settings
from remit.gateway.store import WATCHED
from remit.ports import LedgerTransaction, Result


def revoked(namespace: str, home: str) -> Change:
    return lambda cluster: cluster.put(revocation(Scope(namespace, home), "an exercise"))


WAYS: dict[str, tuple[Change, str]] = TAKEN_BACK | {
    "pod deleted": (lambda c: c.remove("Pod", "run-1-1"), "RunNotActive"),
    "run deleted": (lambda c: c.remove("AgentRun", "run-1"), "RunNotActive"),
    "namespace revoked by the platform": (revoked("bank", "remit-system"), "Revoked"),
    "namespace revoked by its own admin": (revoked("bank", "bank"), "Revoked"),
    "everything revoked": (revoked("", "remit-system"), "Revoked"),
}
GONE = {"RunNotActive", "RunNotFound", "Unauthenticated"}
"""What a call hears whose run or pod is no more: whichever is looked at first."""
OF_THE_BANK = {"namespace not seen, so that no floor is known"} | {name for name in WAYS if name.startswith("grant ")}
MODEL_WAYS = {name: way for name, way in WAYS.items() if name not in OF_THE_BANK and name != "tool taken out"}
"""Ways that take the model, too: a stream is a model's."""


class SlowLedger(MemoryLedger):
    """A ledger whose writes wait while `closed` is set, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.asked = 0

    async def transact(self, work: Callable[[LedgerTransaction], Result]) -> Result:
        self.asked += 1
        await self.open.wait()
        return await super().transact(work)


def a_stream_of(bank: FakeUpstream) -> None:
    async def stream(request: web.Request, _body: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        chunk = {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "a word"}}]}
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await bank.gate.wait()
        return response

    bank.serve = stream


@asynccontextmanager
async def streaming(world: Served) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """A stream that is under way: its first words have come. Yields how to read the rest."""
    body = a_chat(stream=True, stream_options={"include_usage": True})
    async with world.session.post(
        world.url + CHAT, json=body, headers={"Authorization": "Bearer good-token"}
    ) as answer:
        assert answer.status == 200, await answer.text()
        assert b"a word" in await answer.content.readany()
        yield answer.content.read


async def report_of(world: Served) -> Report:
    """Verify the run's evidence as an auditor does."""
    _, document = await world.control("/control/v1/runs/bank/run-1/export")
    files = {name: text.encode() for name, text in document["files"].items()}
    assert world.gateway is not None
    return verify(files, parse_verifier_key(world.gateway.gate.verifier_key), ed25519_holds)


async def acknowledgements(world: Served, namespace: str = "bank") -> list[Any]:
    export = await world.ledger.export(owner_of(namespace))
    return [{"index": entry.index} | json.loads(entry.body)["predicate"] for entry in export.entries]


async def indexed(world: Served) -> list[tuple[int, str, Any]]:
    """The run's entries: place in the log, kind, predicate."""
    entries = (await world.ledger.export("run-uid-1")).entries
    read = [(entry.index, json.loads(entry.body)) for entry in entries]
    return [(index, each["predicateType"].split("/")[-2], each["predicate"]) for index, each in read]


@pytest.mark.parametrize(("change", "reason"), WAYS.values(), ids=WAYS)
async def test_a_new_call_is_refused_with_nobody_but_the_gateway_at_work(
    change: Change, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.05)
    expected = GONE if reason == "RunNotActive" else {reason}
    async with governed() as (world, bank):
        change(world.cluster)
        await eventually_async(lambda: refusal(world), lambda told: told in expected)
        bank.requests.clear()
        assert await refusal(world, call_id="c2") in expected
        assert not bank.calls


@pytest.mark.parametrize(("change", "reason"), MODEL_WAYS.values(), ids=MODEL_WAYS)
async def test_a_stream_is_cut_and_its_outcome_recorded(change: Change, reason: str) -> None:
    async with governed() as (world, bank):
        a_stream_of(bank)
        async with streaming(world) as rest:
            change(world.cluster)
            async with asyncio.timeout(5):
                assert reason.encode() in await rest()
        outcomes = [predicate for _, kind, predicate in await indexed(world) if kind == "outcome"]
        assert [(each["status"], each["reason"]) for each in outcomes] == [("error", reason)]
        assert "view" not in outcomes[0]


ACKNOWLEDGED: dict[str, tuple[Change, str, str]] = {
    "grant": (lambda c: c.change("ToolGrant", "bank", suspended=True), "ToolGrant", "bank"),
    "agent": (lambda c: c.change("Agent", "clerk", lifecycle="Suspended"), "Agent", "clerk"),
    "policy": (lambda c: c.change("Policy", "rules", rules=a_policy()["spec"]["rules"] * 0), "Policy", "rules"),
    "run": (lambda c: c.change("AgentRun", "run-1", desired="Terminated"), "AgentRun", "run-1"),
}


@pytest.mark.parametrize(("change", "kind", "name"), ACKNOWLEDGED.values(), ids=ACKNOWLEDGED)
async def test_the_acknowledgement_comes_after_what_was_cut_is_settled(change: Change, kind: str, name: str) -> None:
    async with governed() as (world, bank):
        waiting_for(bank)
        asking = asyncio.ensure_future(refusal(world))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 1)
        changed = change(world.cluster)
        told = await eventually_async(lambda: enforced(world, kind, name), lambda seen: seen.get("generation") == 2)
        entry = next(each for each in await acknowledgements(world) if each["index"] == told["logIndex"])
        assert (entry["object"]["kind"], entry["object"]["generation"]) == (kind, 2)
        assert entry["view"][kind] >= int(changed["metadata"]["resourceVersion"])
        outcome = next(index for index, of, _ in await indexed(world) if of == "outcome")
        assert outcome < told["logIndex"]
        assert await asking != ""


async def test_what_is_deleted_is_acknowledged_in_the_log() -> None:
    async with governed() as (world, _):
        world.cluster.remove("ToolGrant", "bank")

        async def gone() -> list[Any]:
            return [each for each in await acknowledgements(world) if each["object"]["state"] == "Gone"]

        found = await eventually_async(gone)
        assert [(each["object"]["kind"], each["object"]["name"]) for each in found] == [("ToolGrant", "bank")]


async def test_an_acknowledgement_leaves_the_run_what_else_its_status_says() -> None:
    async with governed(a_policy(toolCalls=2)) as (world, _):
        await refusal(world, call_id="c1")
        await refusal(world, call_id="c2")
        await eventually_async(lambda: status_of_run(world), lambda seen: "usage" in seen)
        world.cluster.change("AgentRun", "run-1", desired="Stopped")
        await eventually_async(lambda: status_of_run(world), lambda seen: "enforced" in seen)
        last = [each["status"] for each in world.cluster.statuses if each["kind"] == "AgentRun"][-1]
        assert {"usage", "enforced"} <= last.keys()


async def status_of_run(world: Served) -> Stored:
    return world.cluster.status_of("AgentRun", "run-1")


async def test_an_edit_while_the_intent_is_being_committed_is_in_time() -> None:
    ledger = SlowLedger()
    async with governed(ledger=ledger) as (world, bank):
        assert await refusal(world) == ""
        ledger.open.clear()
        before = ledger.asked
        asking = asyncio.ensure_future(refusal(world, call_id="c2"))
        await eventually_async(lambda: asked(ledger), lambda seen: seen > before, why="the intent is on its way")
        world.cluster.change("ToolGrant", "bank", suspended=True)
        await until_suspended(world)
        ledger.open.set()
        assert await asking == "GrantSuspended"
        assert bank.calls == 1
        told = await eventually_async(
            lambda: enforced(world, "ToolGrant", "bank"), lambda seen: seen["generation"] == 2
        )
        assert all(index < told["logIndex"] for index, kind, _ in await indexed(world) if kind != "denial")
        assert (await report_of(world)).fault is None


async def asked(ledger: SlowLedger) -> int:
    return ledger.asked


async def until_suspended(world: Served) -> None:
    """Wait until the gateway has seen that the grant is suspended."""
    assert world.gateway is not None
    authority = world.gateway.gate.authority

    def seen() -> bool:
        grants = authority.store.within(next(kind for kind in WATCHED if kind.name == "ToolGrant"), "bank")
        return any(grant["spec"].get("suspended") for grant in grants)

    assert await authority.until(seen, 5)


async def test_an_edit_between_who_calls_and_what_is_decided_is_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with governed() as (world, bank):
        assert world.gateway is not None
        memory, held, waits = world.gateway.gate.memory, asyncio.Event(), asyncio.Event()
        before = type(memory).of

        async def of(self: Any, uid: str) -> Any:
            held.set()
            await waits.wait()
            return await before(self, uid)

        monkeypatch.setattr(type(memory), "of", of)
        asking = asyncio.ensure_future(refusal(world))
        await held.wait()
        world.cluster.change("ToolGrant", "bank", suspended=True)
        await eventually_async(lambda: enforced(world, "ToolGrant", "bank"), lambda seen: seen.get("generation") == 2)
        waits.set()
        assert await asking == "GrantSuspended"
        assert not bank.calls
        assert "intent" not in await world.kinds()


async def test_a_call_that_waits_for_its_turn_is_cut_and_holds_no_acknowledgement_up() -> None:
    async with governed(a_policy(toolCalls=1)) as (world, bank):
        waiting_for(bank)
        first = asyncio.ensure_future(refusal(world, call_id="c1"))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 1)
        second = asyncio.ensure_future(refusal(world, call_id="c2"))
        third = asyncio.ensure_future(refusal(world, call_id="c1"))
        await eventually_async(lambda: under_way(world), lambda seen: seen == 3)
        world.cluster.change("Agent", "clerk", lifecycle="Suspended")
        await eventually_async(lambda: enforced(world, "Agent", "clerk"), lambda seen: seen.get("generation") == 2)
        assert {*await asyncio.gather(first, second, third)} == {"Revoked"}
        assert bank.calls == 1


async def under_way(world: Served) -> int:
    assert world.gateway is not None
    return len(world.gateway.gate.flights)


async def test_a_call_that_a_change_leaves_allowed_goes_on_and_says_so() -> None:
    async with governed() as (world, bank):
        waiting_for(bank)
        asking = asyncio.ensure_future(refusal(world))
        await eventually_async(lambda: calls_of(bank), lambda calls: calls == 1)
        world.cluster.change("ToolGrant", "model", suspended=True)
        told = await eventually_async(
            lambda: enforced(world, "ToolGrant", "model"), lambda seen: seen.get("generation") == 2
        )
        bank.serve = None
        bank.gate.set()
        await asking
        index, _, outcome = next(each for each in await indexed(world) if each[1] == "outcome")
        entry = next(each for each in await acknowledgements(world) if each["index"] == told["logIndex"])
        assert index > told["logIndex"]
        assert outcome["view"]["ToolGrant"] >= entry["view"]["ToolGrant"]
        assert (await report_of(world)).fault is None


async def test_evidence_of_many_changes_under_load_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.books.MAX_REFUSED_CALLS", 1_000_000)
    async with governed(a_policy(toolCalls=1_000_000)) as (world, bank):
        calls = asyncio.create_task(hammer(world))
        for number in range(20):
            world.cluster.change("ToolGrant", "bank", suspended=number % 2 == 0)
            told = await eventually_async(
                lambda: enforced(world, "ToolGrant", "bank"),
                lambda seen, wanted=number + 2: seen.get("generation") == wanted,  # type: ignore[misc]
            )
            if number % 2 == 0:
                answer = (await world.call_raw("look", {"amount": number}, f"after-{number}"))[1]
                assert reason_of(answer) == "GrantSuspended"
        calls.cancel()
        await asyncio.gather(calls, return_exceptions=True)
        assert not [body for _, body in bank.requests if body["params"]["arguments"]]
        report = await report_of(world)
        assert report.fault is None
        assert report.acknowledged >= 20, told


async def hammer(world: Served) -> None:
    """Call and call, from four callers."""

    async def one(caller: int) -> None:
        for number in range(10_000):
            await world.call_raw("look", {}, f"load-{caller}-{number}")

    await asyncio.gather(*(one(caller) for caller in range(4)))


@pytest.mark.parametrize("kind", [kind.name for kind in WATCHED])
async def test_one_watch_that_stalls_stops_all_calls_within_the_bound(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.2)
    async with governed(settings=Settings(authority_bound_seconds=1.0)) as (world, bank):
        assert await refusal(world) == ""
        world.cluster.frozen.add(kind)
        await eventually_async(lambda: refusal(world), lambda seen: seen == "AuthorityStale")
        bank.requests.clear()
        status, _, headers = await world.call_raw("look", {}, "c2")
        assert (status, headers["Retry-After"], bank.calls) == (503, "2", 0)
        world.cluster.frozen.clear()
        await eventually_async(lambda: refusal(world, call_id="c3"), lambda seen: not seen)
        assert "run-end" not in await world.kinds()


async def test_a_call_whose_view_grew_old_while_it_waited_does_not_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.2)
    ledger = SlowLedger()
    async with governed(settings=Settings(authority_bound_seconds=1.0), ledger=ledger) as (world, bank):
        assert await refusal(world) == ""
        ledger.open.clear()
        before = ledger.asked
        asking = asyncio.ensure_future(world.call_raw("look", {}, "c2"))
        await eventually_async(lambda: asked(ledger), lambda seen: seen > before)
        world.cluster.frozen.add("Policy")
        await eventually_async(lambda: world.control("/readyz"), lambda seen: seen[0] == 503)
        ledger.open.set()
        status, answer, headers = await asking
        assert (status, answer["error"]["reason"], headers["Retry-After"]) == (503, "AuthorityStale", "2")
        assert bank.calls == 1


async def test_an_apiserver_that_goes_back_in_time_gives_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.2)
    async with governed(settings=Settings(authority_bound_seconds=1.0)) as (world, bank):
        cluster = world.cluster
        objects, version = dict(cluster.objects), cluster.version
        cluster.change("ToolGrant", "bank", suspended=True)
        await eventually_async(lambda: refusal(world), lambda seen: seen == "GrantSuspended")
        cluster.away = True
        await eventually_async(lambda: refusal(world), lambda seen: seen == "AuthorityStale")
        newer = cluster.objects, cluster.version
        cluster.objects, cluster.version, cluster.away = objects, version, False
        bank.requests.clear()
        for number in range(10):
            assert await refusal(world, call_id=f"back-{number}") == "AuthorityStale"
        assert not bank.calls
        cluster.objects, cluster.version = newer
        await eventually_async(lambda: refusal(world), lambda seen: seen == "GrantSuspended")


async def test_authority_comes_back_with_the_object_that_took_it() -> None:
    async with governed() as (world, _):
        cluster: FakeCluster = world.cluster
        cluster.put(revocation(Scope("bank", "remit-system"), "an exercise"))
        await eventually_async(lambda: refusal(world), lambda seen: seen == "Revoked")
        cluster.remove("Policy", "remit-revoked-bank")
        await eventually_async(lambda: refusal(world, call_id="c2"), lambda seen: not seen)


async def test_a_revocation_beside_a_policy_that_cannot_be_read_is_named_all_the_same() -> None:
    async with governed() as (world, _):
        world.cluster.change("Policy", "rules", budgets="none")
        world.cluster.put(revocation(Scope("", "remit-system"), "an exercise"))

        async def message() -> str:
            return json.dumps((await world.call_raw("look", {}, "c1"))[1])

        await eventually_async(message, lambda seen: "remit-system/remit-revoked.all: Revoked: an exercise" in seen)
