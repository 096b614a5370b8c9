"""A control plane alone for the short forms of the campaigns, and the seed that their chance comes from."""

import os
import random
from collections.abc import Iterator

import pytest
from campaigns.runner import Arguments
from campaigns.world.plane import Plane, plane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Plane]:
    """Etcd, apiserver and the deleting part of the controller-manager: the node and the gateway are played."""
    with plane() as found:
        yield found


@pytest.fixture(scope="session")
def short(campaigns: list[str]) -> Arguments:
    """The short form, with a seed of this session: REMIT_CAMPAIGN_SEED repeats one."""
    given = os.environ.get("REMIT_CAMPAIGN_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(2**31)
    campaigns.append(f"short forms of the campaigns with REMIT_CAMPAIGN_SEED={seed}")
    return Arguments(seed, short=True, jobs=4)
