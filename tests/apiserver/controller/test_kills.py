"""The controller killed -9 before and after each of its writes: the next one makes it good."""

from collections.abc import Iterator

import pytest
from tests.support.controller_process import ControllerProcess
from tests.support.objects import a_run
from tests.support.polling import eventually
from tests.support.tenant import Tenant

POINTS = [
    f"{side}-{write}"
    for write in (
        "apply-networkpolicy",
        "apply-serviceaccount",
        "create-controllerrevision",
        "status-agent",
        "create-pod",
        "status-agentrun",
    )
    for side in ("before", "after")
]


@pytest.fixture(scope="module")
def survived(campaigns: list[str]) -> Iterator[list[str]]:
    """The points that were survived, counted at the end."""
    points: list[str] = []
    yield points
    campaigns.append(f"controller killed -9 at {len(points)} named points, all made good")


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_write_the_next_controller_makes_it_good(
    mortal: ControllerProcess, tenant: Tenant, point: str, survived: list[str]
) -> None:
    mortal.launch(crash_at=point)
    tenant.settle_in(a_run())
    eventually(mortal.killed, within_seconds=30, why=f"killed at {point}")

    mortal.start()

    tenant.until("Running")
    tenant.until("Ready", "Agent", "teller")
    assert len(tenant.pods()) == 1
    survived.append(point)
