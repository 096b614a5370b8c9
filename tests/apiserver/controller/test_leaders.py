"""Two controllers on one cluster: one writes. Killed, paused, woken or asked to end, there is always one again."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
from tests.support.controller_process import ControllerProcess
from tests.support.kube import Kube
from tests.support.objects import a_run
from tests.support.polling import eventually
from tests.support.tenant import Tenant

LEASE_SECONDS = 3
TAKEOVER_SECONDS = LEASE_SECONDS * 4 / 3
"""A lease, the time between two looks, and the first reconcile: 20 s for a lease of 15."""
LEASE = "/apis/coordination.k8s.io/v1/namespaces/remit-system/leases/remit-controller"


@dataclass(frozen=True)
class Pair:
    """Two controllers."""

    both: tuple[ControllerProcess, ControllerProcess]

    def leader(self) -> ControllerProcess:
        """Return the one that leads; exactly one does."""
        (found,) = eventually(
            lambda: [each for each in self.both if each.leads()],
            lambda leading: len(leading) == 1,
            within_seconds=30,
            why="one of two controllers leads",
        )
        return found

    def other(self, one: ControllerProcess) -> ControllerProcess:
        """Return the other one."""
        return self.both[1] if one is self.both[0] else self.both[0]


@pytest.fixture
def pair(kube: Kube, account: Path, tmp_path: Path) -> Iterator[Pair]:
    """Two controllers that both watch, one of which leads."""
    kube.delete(LEASE)
    settings = {"REMIT_LEASE_SECONDS": str(LEASE_SECONDS)}
    first, second = (ControllerProcess(account, tmp_path / name, settings=settings) for name in ("one", "two"))
    for each in (first, second):
        each.start()
    yield Pair((first, second))
    for each in (first, second):
        if each.process is not None and each.process.poll() is None:
            each.signal(signal.SIGCONT)
            each.stop()


def writes(controller: ControllerProcess) -> float:
    """Return how much it has written."""
    return controller.metric("remit_controller_writes_total")


def quiet(controller: ControllerProcess) -> float:
    """Return how much it has written, once that grows no more."""

    def twice() -> tuple[float, float]:
        return writes(controller), writes(controller)

    return eventually(twice, lambda seen: seen[0] == seen[1], every_seconds=0.2)[0]


def test_who_stands_by_writes_nothing_and_takes_over_at_once_when_asked_to(pair: Pair, tenant: Tenant) -> None:
    leader = pair.leader()
    heir = pair.other(leader)
    tenant.settle_in(a_run())
    tenant.until("Running")
    assert writes(heir) == 0

    leader.stop()

    began = monotonic()
    eventually(heir.leads, within_seconds=TAKEOVER_SECONDS, every_seconds=0.02, why="the other one leads")
    assert monotonic() - began < LEASE_SECONDS / 3, "a lease that was given up need not run out"
    tenant.create(a_run("dispute-2"))
    tenant.until("Running", name="dispute-2")


def test_a_killed_leader_is_followed_when_its_lease_is_over(pair: Pair, tenant: Tenant, campaigns: list[str]) -> None:
    leader = pair.leader()
    heir = pair.other(leader)
    tenant.settle_in(a_run())
    tenant.until("Running")
    leader.signal(signal.SIGKILL)
    began = monotonic()
    tenant.create(a_run("dispute-2"))

    eventually(
        lambda: tenant.status(name="dispute-2").get("pod"),
        within_seconds=2 * TAKEOVER_SECONDS,
        why="the other one makes the pod",
    )

    took = monotonic() - began
    campaigns.append(f"a killed controller followed after {took:.1f} s of a lease of {LEASE_SECONDS} s")
    assert took <= TAKEOVER_SECONDS
    assert heir.leads()
    assert len(tenant.pods()) == 2


@pytest.mark.timeout(120)
def test_a_leader_that_is_paused_beyond_its_lease_and_woken_writes_nothing(pair: Pair, tenant: Tenant) -> None:
    tenant.settle_in(a_run())
    tenant.until("Running")
    for number in range(2):
        leader = pair.leader()
        heir = pair.other(leader)
        name = f"paused-{number}"
        tenant.create(a_run(name))
        tenant.until("Running", name=name)
        before = quiet(leader)
        leader.signal(signal.SIGSTOP)
        tenant.create(a_run(f"{name}-late"))
        eventually(heir.leads, within_seconds=2 * TAKEOVER_SECONDS, why="the other one leads")
        tenant.until("Running", name=f"{name}-late")

        leader.signal(signal.SIGCONT)
        eventually(leader.leads, lambda leads: not leads, within_seconds=5, why="it knows that it leads no more")
        tenant.create(a_run(f"{name}-after"))
        tenant.until("Running", name=f"{name}-after")

        assert writes(leader) == before, "it wrote after it woke"
        assert len(tenant.pods()) == 1 + 3 * (number + 1), "no run has two pods"
