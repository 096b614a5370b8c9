"""The short forms of the campaigns: the same worlds and oracles, fewer plays. `make campaign` runs the long ones."""

from dataclasses import replace

import pytest
from campaigns import fuzz, leaders, plans, watches
from campaigns.runner import Arguments
from campaigns.world.plane import Plane

PLANS = 40


@pytest.mark.timeout(600)
async def test_plans_converge_whatever_befalls_a_write(
    control_plane: Plane, short: Arguments, campaigns: list[str]
) -> None:
    mine = replace(short, told=[])
    violations = await plans.on(control_plane, mine)
    campaigns.append(f"plans: {mine.told[0]}")

    assert violations == 0, mine.told
    assert int(mine.told[0].split()[0]) >= PLANS


@pytest.mark.timeout(600)
async def test_a_watch_that_stalls_is_reset_or_hears_an_error_is_made_up_for(
    control_plane: Plane, short: Arguments, campaigns: list[str]
) -> None:
    mine = replace(short, told=[])
    violations = await watches.on(control_plane, mine)
    campaigns.append(f"watches: {mine.told[0]}")

    assert violations == 0, mine.told


@pytest.mark.timeout(600)
async def test_a_leader_that_is_stopped_and_woken_does_nothing_twice(
    control_plane: Plane, short: Arguments, campaigns: list[str]
) -> None:
    mine = replace(short, told=[], jobs=2)
    violations = await leaders.on(control_plane, mine)
    campaigns.append(f"leaders: {mine.told[0]}")

    assert violations == 0, mine.told


@pytest.mark.timeout(600)
async def test_whatever_an_object_says_it_is_told_where_it_stands(
    control_plane: Plane, short: Arguments, campaigns: list[str]
) -> None:
    mine = replace(short, told=[], jobs=2)
    violations = await fuzz.on(control_plane, mine)
    campaigns.append(f"fuzz: {mine.told[0]}")

    assert violations == 0, mine.told
