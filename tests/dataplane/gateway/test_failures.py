"""What the gateway rests on fails: nothing is done unseen, nothing is told to a log, and it goes on when it can."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_authority import FakeCluster, a_grant, a_model_grant
from tests.support.fake_upstream import hang_up, upstream
from tests.support.gateway_process import SECRET, Served, a_world, outside_of, reason_of, served
from tests.support.governed import CHAT, a_chat, governed
from tests.support.memory_ledger import MemoryLedger, signer_for_tests
from tests.support.polling import eventually_async

from remit.adapters.sqlite_ledger import SqliteLedger
from remit.gateway.compose import compose, serve
from remit.gateway.settings import Settings
from remit.ports import ClusterError, LedgerTransaction, LedgerUnavailableError


class FullLedger(MemoryLedger):
    """A ledger whose disk may be full: nothing can be written then, from the n-th write on."""

    def __init__(self) -> None:
        """Begin with room."""
        super().__init__(signer_for_tests())
        self.writes_left = 1_000_000

    async def transact(self, work: Callable[[LedgerTransaction], Any]) -> Any:
        if self.writes_left <= 0:
            raise LedgerUnavailableError("database or disk is full")
        self.writes_left -= 1
        return await super().transact(work)


async def test_a_full_disk_stops_every_call_before_it_goes_out() -> None:
    ledger = FullLedger()
    async with governed(ledger=ledger) as (world, bank):
        ledger.writes_left = 0
        status, answer, headers = await world.call_raw("credit", {"amount": 5}, "c1")
        assert (status, answer["error"]["reason"], headers["Retry-After"]) == (503, "LedgerUnavailable", "2")
        assert (await world.post(CHAT, a_chat()))[0] == 503
        assert (await world.post("/run/v1/result", {"outcome": "Failed", "stop": "Answered"}))[0] == 503
        assert (await world.call_raw("steal"))[0] == 503
        assert not bank.calls
        ledger.writes_left = 100
        assert reason_of(await world.call("credit", {"amount": 5}, "c1")) == ""


async def test_a_disk_that_is_full_for_a_moment_loses_no_outcome() -> None:
    ledger = FullLedger()
    async with governed(ledger=ledger) as (world, bank):
        ledger.writes_left = 1
        asking = asyncio.ensure_future(world.call("credit", {"amount": 5}, "c1"))
        await eventually_async(lambda: _calls(bank), lambda calls: calls == 1)
        ledger.writes_left = 100
        assert reason_of(await asking) == ""
        assert await world.kinds() == ["bundle", "intent", "outcome"]


async def test_an_outcome_that_cannot_be_recorded_is_unknown_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("remit.gateway.links_hold.LEDGER_PATIENCE_SECONDS", 0.0)
    ledger = FullLedger()
    async with governed(ledger=ledger) as (world, bank):
        ledger.writes_left = 1
        assert (await world.call_raw("credit", {"amount": 5}, "c1"))[0] == 503
        ledger.writes_left = 100
        assert reason_of(await world.call("credit", {"amount": 5}, "c1")) == "OutcomeUnknown"
        assert bank.calls == 1

        async def outcome() -> Any:
            return world.cluster.status_of("AgentRun", "run-1").get("outcome", {}).get("reason")

        assert await eventually_async(outcome) == "OutcomeUnknown"


async def _calls(bank: Any) -> int:
    calls: int = bank.calls
    return calls


@pytest.mark.parametrize(("code", "reason"), [(409, "Conflict"), (429, "TooManyRequests"), (500, "InternalError")])
async def test_a_status_that_is_refused_once_is_written_again(code: int, reason: str) -> None:
    async with governed() as (world, _):
        world.cluster.refused_statuses.append(ClusterError("not now", reason, code))
        world.cluster.change("ToolGrant", "bank", suspended=True)
        await eventually_async(lambda: _enforced(world), lambda generation: generation == 2)


async def test_a_status_of_what_was_made_anew_is_given_up() -> None:
    async with governed() as (world, _):
        old = world.cluster.named("ToolGrant", "bank")
        world.cluster.refused_statuses.append(ClusterError("not now", "InternalError", 500))
        world.cluster.change("ToolGrant", "bank", suspended=True)
        world.cluster.remove("ToolGrant", "bank")
        world.cluster.put(old | {"metadata": old["metadata"] | {"uid": "another"}})
        await eventually_async(lambda: _enforced(world), lambda generation: generation == 1)
        await eventually_async(lambda: _pending(world), lambda pending: pending == 0)


async def _enforced(world: Served) -> int:
    found: int = world.cluster.status_of("ToolGrant", "bank").get("enforced", {}).get("generation", 0)
    return found


async def _pending(world: Served) -> float:
    _, text = await world.control("/metrics")
    line = next(line for line in text.decode().splitlines() if line.startswith("remit_gateway_status_writes_pending"))
    return float(line.split()[-1])


async def test_a_second_gateway_on_the_same_ledger_does_not_start(tmp_path: Path) -> None:
    first = await SqliteLedger.open(tmp_path / "ledger.sqlite", signer_for_tests())
    with pytest.raises(LedgerUnavailableError):
        await SqliteLedger.open(tmp_path / "ledger.sqlite", signer_for_tests())
    await first.close()


async def test_a_write_that_a_dead_gateway_left_open_is_unknown_and_ends_its_run(tmp_path: Path) -> None:
    async with upstream() as bank:
        bank.serve = hang_up
        cluster = a_world(a_grant(f"{bank.url}/mcp"), a_model_grant(bank.url))
        await _leave_open(tmp_path, cluster)
        ledger = await SqliteLedger.open(tmp_path / "ledger.sqlite", signer_for_tests())
        async with served(cluster, ledger=ledger) as world:

            async def told() -> Any:
                return cluster.status_of("AgentRun", "run-1").get("outcome", {})

            outcome = await eventually_async(told)
            assert outcome["reason"] == "OutcomeUnknown"
            assert "bank/credit (call c1" in outcome["message"]
            assert reason_of(await world.call("look", {})) == "RunNotActive"
            assert await world.kinds() == ["bundle", "intent", "outcome", "run-end"]
        await ledger.close()


async def _leave_open(directory: Path, cluster: FakeCluster) -> None:
    """Hold a write and go, as a killed gateway would."""
    ledger = await SqliteLedger.open(directory / "ledger.sqlite", signer_for_tests())
    patience: list[asyncio.Task[Any]] = []
    async with served(cluster, ledger=ledger, upstream=Silent()) as world:
        patience.append(asyncio.ensure_future(world.call_raw("credit", {"amount": 5}, "c1")))
        await eventually_async(lambda: _kinds(world), lambda kinds: kinds == ["bundle", "intent"])
        patience[0].cancel()
        await ledger.close()


async def _kinds(world: Served) -> list[str]:
    return await world.kinds()


class Silent:
    """An upstream that never answers."""

    async def send(self, _request: Any) -> Any:
        await asyncio.Event().wait()

    async def stream(self, _request: Any) -> Any:
        await asyncio.Event().wait()


async def test_a_part_that_fails_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_self: Any) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr("remit.gateway.sweeper.Sweeper.run", broken)
    cluster = a_world(a_grant("http://127.0.0.1:1/mcp"), a_model_grant("http://127.0.0.1:1"))
    gateway = compose(
        Settings(host="127.0.0.1", agent_port=0, control_port=0), outside_of(cluster, MemoryLedger(), Silent())
    )
    with pytest.raises(Exception, match="sweeper"):
        await serve(gateway, asyncio.Event())


async def test_a_broken_request_tells_no_content(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError(SECRET)

    monkeypatch.setattr("remit.gateway.mcp_route.govern", broken)
    async with governed() as (world, _):
        status, answer, _ = await world.call_raw("look", {})
        assert (status, answer["error"]["reason"]) == (500, "Internal")
        assert SECRET not in str(answer)
    assert SECRET not in capsys.readouterr().out


async def test_metrics_count_calls_and_name_no_run() -> None:
    async with governed() as (world, _):
        await world.call("look", {})
        await world.call("steal", {})
        _, text = await world.control("/metrics")
        assert b'remit_gateway_calls_total{kind="tool",reason="Allowed",risk="ReadOnly"} 1.0' in text
        assert b'reason="ToolNotGranted"' in text
        assert b"run-1" not in text
        assert b"steal" not in text


async def test_the_control_port_shows_a_run_and_its_evidence() -> None:
    async with governed() as (world, _):
        await world.call("credit", {"amount": 5}, "c1")
        _, view = await world.control("/control/v1/runs/bank/run-1")
        assert (view["records"], view["spent"]["toolCalls"], view["ended"]) == (3, 1, False)
        _, document = await world.control("/control/v1/runs/bank/run-1/export")
        assert document["version"] == "remit.dev/evidence-export/v1"
        assert (await world.control("/control/v1/runs/bank/none"))[0] == 404
        assert (await world.control("/nothing"))[0] == 404
        assert (await world.control("/control/v1/key"))[1]["vkey"] == signer_for_tests().verifier.text()
        assert (await world.control("/healthz"))[0] == 200
