"""On a real apiserver, with nobody but the gateway at work: after an acknowledgement nothing is forwarded, in any way.

The short form of the trials of `benchmarks/revocation.py`, which makes a thousand and takes the times.
"""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from secrets import token_hex

import aiohttp
from benchmarks.revocation_trials import WAYS, Notes, Seen, Trials, tried
from benchmarks.revocation_world import Kube as Administrator
from benchmarks.revocation_world import Lane, gateway, witness
from benchmarks.revocation_world import kube as administrator_of
from tests.support.kube import Kube

TRIALS = 30
LANES = 3
SEED = 5


async def made(administrator: Administrator, kubeconfig: Path, folder: Path) -> list[Seen]:
    """Make the trials, in lanes beside each other."""
    token = await administrator.account_token("remit-system", "remit-gateway")
    with witness(folder) as (upstream, notes), gateway(folder, kubeconfig, token) as process:
        mark = token_hex(3)
        lanes = [Lane(administrator, f"revoked-{mark}-{number}", upstream) for number in range(LANES)]
        await asyncio.gather(*(lane.furnish() for lane in lanes))
        try:
            async with aiohttp.ClientSession() as session:
                trials = Trials(administrator, process, Notes(notes), session, Random(SEED))  # noqa: S311 - trials that can be repeated
                parts = [range(number, TRIALS, LANES) for number in range(LANES)]
                found = await asyncio.gather(
                    *(tried(trials, lane, part) for lane, part in zip(lanes, parts, strict=True))
                )
        finally:
            for lane in lanes:
                await lane.leave()
    return [seen for each in found for seen in each]


def test_nothing_is_forwarded_after_the_acknowledgement(kube: Kube, tmp_path: Path, campaigns: list[str]) -> None:
    async def all_of_them() -> list[Seen]:
        async with administrator_of(kube.kubeconfig) as administrator:
            return await made(administrator, kube.kubeconfig, tmp_path)

    seen = asyncio.run(all_of_them())
    assert Counter(each.way for each in seen) == dict.fromkeys((way.name for way in WAYS), TRIALS // len(WAYS))
    assert [each for each in seen if each.forwarded] == []
    campaigns.append(f"revocation: {len(seen)} trials (seed {SEED}), 0 calls forwarded after the acknowledgement")
