"""`revocation`: authority taken back a thousand times under load; how long until it is felt, and what slips through."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import Any

import aiohttp

from benchmarks.figures import median, percentile
from benchmarks.machine import built_peer, circumstances, scratch
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError
from benchmarks.revocation_trials import CALLERS, Notes, Seen, Trials, tried
from benchmarks.revocation_world import Gateway, Kube, Lane, gateway, kube, witness
from benchmarks.rows import Bound, Comparison
from remit.api.names import GATEWAY_ACCOUNT, INSTALL_NAMESPACE
from remit.cli.install import Target, wait_admission
from remit.cli.manifests import PREPARATION, Images, release
from remit.cluster import Cluster

NAME = "remit-bench-taken"
TRIALS = 1000
LANES = 4
LOAD_CALLERS = 48
LOAD_RUNS = 8
MARK = "CALL_NUMBER"
FOR_EVER = 10**9
SEED = 4
SHARE = 0.99
NEW_CALL_MS, IN_FLIGHT_MS = 100.0, 250.0
OURS = "none: the bound is our own promise"


def measure(options: Options) -> list[Comparison]:
    """Make the trials, on a cluster without a controller."""
    folder, count = scratch("revocation"), options.rounds_or(TRIALS)
    load = built_peer("load", folder, options.say)
    cluster = Cluster(NAME)
    try:
        cluster.up(options.say)
        prepare(Target(cluster.kubeconfig_path, str(cluster.kubectl_path), INSTALL_NAMESPACE))
        options.say(f"{count} trials in {LANES} lanes, {CALLERS} callers each, and {LOAD_CALLERS} others")
        seen = asyncio.run(all_trials(cluster.kubeconfig_path, folder, load, count))
    finally:
        cluster.down()
    return comparisons(seen, circumstances(folder))


def prepare(target: Target) -> None:
    """Install what admits and authorises, and nothing that acts."""
    manifests = [manifest for manifest in release(Images("", "", "")) if manifest["kind"] != "Deployment"]
    target.apply([manifest for manifest in manifests if manifest["kind"] in PREPARATION])
    target.run("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
    target.apply(manifests)
    wait_admission(target)


async def all_trials(kubeconfig: Path, folder: Path, load: Path, count: int) -> list[Seen]:
    """Make the trials, in lanes beside each other, while others call without a pause."""
    async with kube(kubeconfig) as administrator:
        token = await administrator.account_token(INSTALL_NAMESPACE, GATEWAY_ACCOUNT)
        with witness(folder) as (upstream, notes), gateway(folder, kubeconfig, token) as process:
            async with furnished(administrator, upstream) as (lanes, others), aiohttp.ClientSession() as session:
                trials = Trials(administrator, process, Notes(notes), session, Random(SEED))  # noqa: S311 - to be repeated
                with hammering(load, process, [(await others.new_run()).token for _ in range(LOAD_RUNS)]):
                    parts = [range(number, count, LANES) for number in range(LANES)]
                    found = await asyncio.gather(*(tried(trials, *each) for each in zip(lanes, parts, strict=True)))
    return [seen for each in found for seen in each]


@asynccontextmanager
async def furnished(administrator: Kube, upstream: str) -> AsyncIterator[tuple[list[Lane], Lane]]:
    """Make the lanes of the trials, and one for the others."""
    lanes = [Lane(administrator, f"lane-{token_hex(2)}-{number}", upstream) for number in range(LANES + 1)]
    await asyncio.gather(*(lane.furnish() for lane in lanes))
    yield lanes[:-1], lanes[-1]


@contextmanager
def hammering(load: Path, process: Gateway, tokens: Sequence[str]) -> Iterator[None]:
    """Have others call for as long as the block runs."""
    plan = {
        "url": f"{process.url}/mcp",
        "body": json.dumps(the_call()),
        "callers": [{"headers": headers(tokens[number % len(tokens)])} for number in range(LOAD_CALLERS)],
        "requests": FOR_EVER,
        "seconds": FOR_EVER,
        "wanted": "done",
    }
    running = subprocess.Popen([load], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert running.stdin is not None
    running.stdin.write(json.dumps(plan).encode())
    running.stdin.close()
    try:
        yield
        if running.poll() is not None:
            raise BenchmarkError("the load ended before the trials did")
    finally:
        running.kill()
        running.wait()


def the_call() -> dict[str, Any]:
    """Return a call of the tool; each has another number in its id."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "remit.dev/call-id": f"load-{MARK}",
    }
    params = {"name": "look", "arguments": {"trial": "load", "call": 0, "hold": False}, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def headers(token: str) -> dict[str, str]:
    """Return the headers of such a call."""
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "look",
    }


def comparisons(seen: Sequence[Seen], disk: str) -> list[Comparison]:
    """Lay out what was seen: times from before the edit was sent, so that its own way to etcd is in them."""
    ways = Counter(each.way for each in seen)
    shared = [
        f"{len(seen)} trials: " + ", ".join(f"{count} {way}" for way, count in sorted(ways.items())),
        f"{LANES} trials at once, {CALLERS} callers and a kept call each, and {LOAD_CALLERS} more without pause",
        f"acknowledged: {said([each.acknowledged * 1000 for each in seen], 'ms')}",
        "real: apiserver, etcd, gateway process, ledger on its disk; no controller and no kubelet at work",
        disk,
    ]
    new_call = [each.new_call * 1000 for each in seen]
    in_flight = [each.in_flight * 1000 for each in seen]
    forwarded, late = sum(each.forwarded for each in seen), sum(each.late for each in seen)
    return [
        of_time(
            "new-call", new_call, NEW_CALL_MS, ["edit sent → the witness received a call for the last time", *shared]
        ),
        of_time("in-flight", in_flight, IN_FLIGHT_MS, ["edit sent → the upstream's kept call was let go", *shared]),
        Comparison(
            name="revocation/after-ack",
            peer=OURS,
            unit="calls",
            bound=Bound("figure", 0),
            ours=[float(forwarded)],
            notes=[
                f"calls forwarded after the acknowledgement in {len(seen)} trials, by the witness and by evidence",
                f"{late} calls were read by the witness after it, and over (cut, outcome recorded) before it",
                "every trial's evidence was exported and verified: no intent and no outcome under an older state",
                *shared,
            ],
        ),
    ]


def of_time(name: str, samples: Sequence[float], bound: float, notes: list[str]) -> Comparison:
    """Lay one time out by its 99th percentile."""
    return Comparison(
        name=f"revocation/{name}",
        peer=OURS,
        unit="ms p99",
        bound=Bound("figure", bound),
        ours=[percentile(samples, SHARE)],
        notes=[said(samples, "ms"), *notes],
    )


def said(samples: Sequence[float], unit: str) -> str:
    """Say how samples are spread."""
    shares = ", ".join(f"p{share * 100:g} {percentile(samples, share):.3g}" for share in (0.9, SHARE))
    return f"of {len(samples)}: median {median(samples):.3g}, {shares}, most {max(samples):.3g} {unit}"
