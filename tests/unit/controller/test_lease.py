"""Who may write: one at a time, for as long as is certain, whatever sleeps, hangs or jumps."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.fake_cluster import FakeCluster, Object
from tests.support.objects import a_namespace

from remit.api.names import LEASE
from remit.controller.leading import Always, lead
from remit.controller.lease import Fenced, NotLeaderError, Tenure, Terms
from remit.ports import ClusterError

HOME = "remit-system"
PLACE = ("Lease", HOME, LEASE)
TERMS = Terms(15)


@dataclass
class TwoClocks:
    """Clocks that a test sets apart: a machine that sleeps stops one of them."""

    wall: float = 1_800_000_000.0
    steady: float = 100.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@dataclass
class House:
    """A cluster with a lease, and those who want it."""

    clock: TwoClocks = field(default_factory=TwoClocks)
    cluster: FakeCluster = field(default_factory=FakeCluster)

    def __post_init__(self) -> None:
        self.cluster.put(a_namespace(HOME))

    def claimant(self, name: str) -> Tenure:
        return Tenure(self.cluster, self.clock, TERMS, identity=name, namespace=HOME)

    @property
    def lease(self) -> Object:
        spec: Object = self.cluster.objects[PLACE]["spec"]
        return spec


async def a_house(*names: str) -> tuple[House, list[Tenure]]:
    """A house in which the first claimant leads and the others have looked."""
    house = House()
    claimants = [house.claimant(name) for name in names]
    for claimant in claimants:
        await claimant.step()
    return house, claimants


async def test_the_first_takes_it_and_the_second_stands_by() -> None:
    house, (first, second) = await a_house("one", "two")
    assert (first.is_held, second.is_held) == (True, False)
    assert (first.taken.is_set(), first.lost.is_set()) == (True, False)
    assert (second.taken.is_set(), second.lost.is_set()) == (False, True)
    assert house.lease["holderIdentity"] == "one"
    assert house.lease["renewTime"].endswith("Z")
    assert len(house.lease["renewTime"]) == len("2027-01-15T08:00:00.000000Z")


async def test_renewing_keeps_it_for_ever_with_one_write_each() -> None:
    house, (first, second) = await a_house("one", "two")
    house.cluster.writes.clear()
    for _ in range(20):
        house.clock.pass_by(TERMS.renew_every)
        assert await first.step() == TERMS.renew_every
        assert await second.step() == TERMS.look_every
    assert (first.is_held, second.is_held) == (True, False)
    assert house.cluster.writes == [f"apply Lease {LEASE}"] * 20
    assert house.lease["leaseTransitions"] == 1


async def test_a_holder_that_is_gone_is_followed_once_its_lease_is_over_and_not_earlier() -> None:
    house, (_, second) = await a_house("one", "two")
    held = []
    for seconds in (TERMS.seconds - 0.1, 0.1):
        house.clock.pass_by(seconds)
        await second.step()
        held.append(second.is_held)
    assert held == [False, True]
    assert house.lease["leaseTransitions"] == 2


async def test_nobody_trusts_the_clock_of_another() -> None:
    house, _ = await a_house("one")
    house.clock.wall += 86_400
    late = house.claimant("two")
    await late.step()
    assert not late.is_held, "the first look starts the wait"


@pytest.mark.parametrize(
    "sleep",
    [
        lambda clock: clock.pass_by(TERMS.begin_within),  # SIGSTOP: both clocks go on
        lambda clock: setattr(clock, "wall", clock.wall + TERMS.begin_within),  # the machine slept: one stood still
        lambda clock: setattr(clock, "steady", clock.steady + TERMS.begin_within),  # somebody set the clock back
    ],
    ids=["paused", "suspended", "clock set"],
)
async def test_who_slept_too_long_may_not_write_before_it_has_renewed(sleep: Callable[[TwoClocks], None]) -> None:
    house, (first,) = await a_house("one")
    fenced = Fenced(house.cluster, first)
    house.cluster.writes.clear()
    sleep(house.clock)
    with pytest.raises(NotLeaderError):
        await fenced.create(a_namespace("other"), "m")
    assert house.cluster.writes == []
    assert first.lost.is_set()


async def test_who_slept_and_was_followed_stands_by() -> None:
    house, (first, second) = await a_house("one", "two")
    house.clock.pass_by(TERMS.seconds)
    await second.step()
    await first.step()  # knows only its own last write, which is not the last any more
    assert (first.is_held, second.is_held) == (False, True)
    await first.step()
    assert (first.is_held, house.lease["holderIdentity"]) == (False, "two")


async def test_who_slept_and_was_not_followed_goes_on() -> None:
    house, (first,) = await a_house("one")
    house.clock.pass_by(3600)
    await first.step()
    assert first.is_held


async def test_what_is_given_up_is_taken_at_once() -> None:
    house, (first, second) = await a_house("one", "two")
    await first.release()
    assert "holderIdentity" not in house.lease
    await second.step()
    assert second.is_held


async def test_giving_up_what_another_has_is_no_harm() -> None:
    house, (first, second) = await a_house("one", "two")
    house.clock.pass_by(TERMS.seconds)
    await second.step()
    await first.release()
    assert house.lease["holderIdentity"] == "two"


async def test_the_same_pod_started_again_takes_its_own_lease_up() -> None:
    house, _ = await a_house("one")
    again = house.claimant("one")
    await again.step()
    assert again.is_held
    assert house.lease["leaseTransitions"] == 1


async def test_an_apiserver_that_refuses_costs_the_lead_in_time_and_gives_it_back() -> None:
    house, (first,) = await a_house("one")
    house.cluster.refusals["apply Lease"] = ClusterError("away", "Unreachable")
    for _ in range(5):
        house.clock.pass_by(2)
        await first.step()
    assert not first.is_held
    del house.cluster.refusals["apply Lease"]
    await first.step()
    assert first.is_held


async def test_two_that_see_a_free_lease_at_once_are_one_leader() -> None:
    _, (first, second, third) = await a_house("one", "two", "three")
    await first.release()
    await asyncio.gather(second.step(), third.step())
    assert [second.is_held, third.is_held].count(True) == 1


class Slow(FakeCluster):
    """An apiserver that never answers a creation."""

    async def create(self, manifest: Any, manager: str) -> Object:
        if manifest["kind"] != "Lease":
            await asyncio.Event().wait()
        return await super().create(manifest, manager)


async def test_a_write_without_an_answer_is_given_up_before_the_lease_ends() -> None:
    house = House(cluster=Slow())
    tenure = house.claimant("one")
    await tenure.step()
    house.clock.pass_by(9.99)
    assert TERMS.end_within - 10 < tenure.require() < TERMS.seconds - 9.99
    house.clock.pass_by(-9.99)
    tenure = Tenure(house.cluster, house.clock, Terms(1), identity="one", namespace=HOME)
    await tenure.step()
    house.clock.pass_by(0.6)
    with pytest.raises(NotLeaderError, match="before the apiserver answered"):
        await Fenced(house.cluster, tenure).create(a_namespace("other"), "m")


async def test_reading_is_free() -> None:
    house, (_, second) = await a_house("one", "two")
    fenced = Fenced(house.cluster, second)
    assert await fenced.get("v1", "Namespace", "", HOME) is not None
    assert len(await fenced.list("v1", "Namespace", "")) == 1
    assert (await anext(aiter(fenced.watch("v1", "Namespace"))))[0] == "ADDED"
    for write in (
        fenced.apply(a_namespace("x"), "m"),
        fenced.apply_status(a_namespace("x"), "m"),
        fenced.patch("v1", "Namespace", a_namespace("x"), "m"),
    ):
        with pytest.raises(NotLeaderError):
            await write
    with pytest.raises(NotLeaderError):
        await fenced.delete("v1", "Namespace", "", HOME, "uid")


async def test_duties_begin_with_the_lead_and_end_with_it() -> None:
    turns, told, going = Always(), asyncio.Queue[str](), set[str]()

    async def catch_up() -> None:
        told.put_nowait("caught up")

    async def duty() -> None:
        going.add("duty")
        told.put_nowait("at work")
        try:
            await asyncio.Event().wait()
        finally:
            going.discard("duty")
            told.put_nowait("ended")

    leading = asyncio.create_task(lead(turns, catch_up, [duty]))
    assert [await told.get(), await told.get()] == ["caught up", "at work"]
    turns.taken.clear()
    turns.lost.set()
    assert (await told.get(), going) == ("ended", set())
    turns.lost.clear()
    turns.taken.set()
    assert [await told.get(), await told.get()] == ["caught up", "at work"]
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    assert going == set()


async def test_a_duty_that_fails_ends_the_process() -> None:
    async def nothing() -> None:
        return

    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as caught:
        await lead(Always(), nothing, [broken])
    assert caught.group_contains(ValueError, match="broken")
