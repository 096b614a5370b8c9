"""What people and machines do to a cluster by hand: one test for each case of the campaign, all played together."""

import asyncio

import pytest
from campaigns.by_hand import everything
from campaigns.hands import CASES, PLANE_CASES
from campaigns.runner import Arguments, logs
from campaigns.world.plane import Plane
from campaigns.world.stage import stage


@pytest.fixture(scope="module")
def verdicts(control_plane: Plane, short: Arguments) -> dict[str, tuple[str, ...]]:
    """What each case came to."""

    async def play() -> dict[str, tuple[str, ...]]:
        async with stage(control_plane, logs("by-hand")) as the_stage:
            return {verdict.name: verdict.faults for verdict in await everything(the_stage, short)}

    return asyncio.run(play())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", [*CASES, *PLANE_CASES])
def test_what_is_done_by_hand_comes_right(verdicts: dict[str, tuple[str, ...]], case: str) -> None:
    assert verdicts[case] == ()
