"""The short forms of the campaigns: the same worlds and oracles, fewer plays. `make campaign` runs the long ones."""

from dataclasses import replace
from types import ModuleType

import pytest
from campaigns import fuzz, gateway_plans, leaders, plans, watches
from campaigns.runner import Arguments
from campaigns.world.plane import Plane

FEWEST_PLANS = 40
JOBS = {plans: 0, gateway_plans: 0, watches: 0, leaders: 2, fuzz: 2}
"""How many worlds of a campaign play at once; 0: as many as it likes."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("campaign", JOBS, ids=lambda campaign: campaign.__name__.rpartition(".")[2])
async def test_a_campaign_finds_nothing(
    control_plane: Plane, short: Arguments, campaigns: list[str], campaign: ModuleType
) -> None:
    mine = replace(short, told=[], jobs=JOBS[campaign] or short.jobs)
    violations = await campaign.on(control_plane, mine)
    campaigns.append(f"{campaign.__name__.rpartition('.')[2]}: {mine.told[0]}")

    assert violations == 0, mine.told
    if campaign is plans:
        assert int(mine.told[0].split()[0]) >= FEWEST_PLANS
