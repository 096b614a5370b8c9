"""`warm-start`: an AgentRun created → Running, and → its first tools/call recorded, out of a warm pool.

Beside it, in the same rounds: agent-sandbox's warm claim, a Job, and a bare pod.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import agent_sandbox
from benchmarks.cold_start import REST_SECONDS, Listener, bare_pod, first_tool_intent, listening, plain
from benchmarks.figures import Anchor
from benchmarks.machine import circumstances, scratch
from benchmarks.observers import Observer, observing
from benchmarks.options import Options
from benchmarks.rows import Bound, Comparison
from benchmarks.setting import BARE, PAYMENTS, RUNS, SESSION, Setting, agent_run, furnished, until, wait_for_success
from remit.adapters.access import from_kubeconfig
from remit.adapters.clock import SystemClock
from remit.adapters.cluster import KubernetesCluster
from remit.api.meta import API_VERSION
from remit.api.names import LABEL_WARM
from remit.cli.demo.records import statements
from remit.cli.demo.stage import BANK

ROUNDS = 8
REPLICAS = 3
AGENT = f"/apis/remit.dev/v1alpha1/namespaces/{BANK}/agents/dispute-resolver"
WARM_PODS = f"/api/v1/namespaces/{BANK}/pods?labelSelector={LABEL_WARM}"
JOBS = f"/apis/batch/v1/namespaces/{BARE}/jobs"
CLAIM_ANCHOR = Anchor(0.05, 0.08)
"""Seconds from a SandboxClaim's creation to Ready, as measured in 2026 on such a machine and published by others."""
JOB_ANCHOR = Anchor(0.8, 2.0)
SLEEP = ["python3.11", "-S", "-c", "import time\nwhile True: time.sleep(3600)"]


@dataclass
class Times:
    """Seconds of all rounds, from creation on."""

    running: list[float] = field(default_factory=list)
    first_call: list[float] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)
    claims_again: list[float] = field(default_factory=list)
    jobs: list[float] = field(default_factory=list)
    jobs_again: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    bare_again: list[float] = field(default_factory=list)


def measure(options: Options) -> list[Comparison]:
    """Start each in turn, round after round, every pool full and refilling."""
    made, folder = furnished(options), scratch("warm-start")
    disk = circumstances(folder)
    with resized(made, REPLICAS), listening(made.host) as listener:
        pod = spec_of(made.get(WARM_PODS)["items"][0])
        with agent_sandbox.installed(made, folder, sleeping(pod), replicas=REPLICAS, say=options.say):
            times = asyncio.run(all_rounds(made, listener, pod, options))
    return comparisons(times, disk)


async def all_rounds(made: Setting, listener: Listener, pod: dict[str, Any], options: Options) -> Times:
    """Do the rounds, seen by watches that both sides share."""
    times = Times()
    async with (
        KubernetesCluster(from_kubeconfig(made.stage.kubeconfig)) as cluster,
        observing(cluster, API_VERSION, "AgentRun", is_running) as runs,
        observing(cluster, agent_sandbox.EXTENSIONS, "SandboxClaim", agent_sandbox.is_ready) as claims,
    ):
        for number in range(min(options.rounds_or(ROUNDS), len(PAYMENTS))):
            running, first_call = await governed(made, cluster, runs, number)
            times.running.append(running)
            times.first_call.append(first_call)
            times.claims.append(await claimed(made, cluster, claims, f"claim-{number}-a"))
            times.claims_again.append(await claimed(made, cluster, claims, f"claim-{number}-b"))
            for letter, jobs, bare in (("a", times.jobs, times.bare), ("b", times.jobs_again, times.bare_again)):
                jobs.append(await asyncio.to_thread(job, made, listener, f"warm-job-{number}-{letter}", pod))
                name = f"warm-bare-{number}-{letter}"
                bare.append(await plain(made, cluster, listener, bare_pod(name, pod, listener.url(name))))
            options.say(
                f"run {running * 1000:.0f} ms to Running, {first_call * 1000:.0f} ms to its first call; "
                f"claim {times.claims[-1] * 1000:.0f} ms; Job {times.jobs[-1]:.2f} s; bare pod {times.bare[-1]:.2f} s"
            )
    return times


async def governed(made: Setting, cluster: KubernetesCluster, runs: Observer, number: int) -> tuple[float, float]:
    """Return a run's seconds to Running as a watch sees it, and to the intent of its first tools/call."""
    name = f"bench-warm-{number}-{SESSION}"
    await asyncio.to_thread(until, lambda: pool_is_full(made), "the agent's pool is full")
    await asyncio.sleep(REST_SECONDS)
    created = SystemClock().now()
    await cluster.create(agent_run(name, PAYMENTS[number]), "benchmark")
    running = await runs.when(name) - created
    await asyncio.to_thread(wait_for_success, made, name)
    found = await asyncio.to_thread(statements, made.stage, name)
    await asyncio.to_thread(made.delete, f"{RUNS}/{name}")
    return running, first_tool_intent(found) - created


async def claimed(made: Setting, cluster: KubernetesCluster, claims: Observer, name: str) -> float:
    """Return the seconds to a SandboxClaim that is Ready, out of a full pool."""
    await asyncio.to_thread(until, lambda: agent_sandbox.ready_pods(made) >= REPLICAS, "agent-sandbox's pool is full")
    await asyncio.sleep(REST_SECONDS)
    created = SystemClock().now()
    await cluster.create(agent_sandbox.claim(name), "benchmark")
    ready = await claims.when(name) - created
    await asyncio.to_thread(made.delete, f"{agent_sandbox.CLAIMS}/{name}")
    return ready


def job(made: Setting, listener: Listener, name: str, spec: dict[str, Any]) -> float:
    """Return the seconds to the first request of a Job's pod."""
    made.delete(f"{JOBS}/{name}")
    time.sleep(REST_SECONDS)
    pod = bare_pod(name, spec, listener.url(name))["spec"]
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": BARE},
        "spec": {"backoffLimit": 0, "template": {"spec": {**pod, "restartPolicy": "Never"}}},
    }
    created = SystemClock().now()
    made.create(JOBS, manifest)
    until(lambda: name in listener.first, f"{name} makes a request")
    made.delete(f"{JOBS}/{name}")
    return listener.first[name] - created


def comparisons(times: Times, disk: str) -> list[Comparison]:
    """Lay the times beside each other."""
    ours = "ours: AgentRun's creation sent → "
    common = [
        "both pools refill while it is measured; three pods stand in each",
        "a claim's sandbox is told to nobody: it proves no identity, asks no model, records nothing",
        disk,
    ]
    first_call = [f"{ours}time in the intent entry of its first tools/call, a governed model call before it", *common]
    running = [f"{ours}Running, seen by a watch; the claim's Ready is seen by the same client", *common]
    claim = f"agent-sandbox {agent_sandbox.VERSION}: SandboxClaim created → Ready out of its warm pool"
    rows = (
        ("first-call", claim, 0.8, times.first_call, times.claims, times.claims_again, CLAIM_ANCHOR, first_call),
        ("running", claim, 0.5, times.running, times.claims, times.claims_again, CLAIM_ANCHOR, running),
        (
            "job",
            "batch/v1 Job under a tuned controller-manager: created → first request of its pod",
            0.8, times.first_call, times.jobs, times.jobs_again, JOB_ANCHOR, first_call,
        ),
        (
            "bare-pod",
            "a bare pod of the same image, command, limits and volumes: created → its first request",
            0.15, times.first_call, times.bare, times.bare_again, JOB_ANCHOR, first_call,
        ),
    )  # fmt: skip
    return [
        Comparison(
            name=f"warm-start/{name}",
            peer=peer,
            unit="s",
            bound=Bound("ratio", bound),
            ours=own,
            peers=peers,
            control=control,
            anchor=anchor,
            notes=notes,
        )
        for name, peer, bound, own, peers, control, anchor, notes in rows
    ]


def is_running(run: Any) -> bool:
    """Tell whether a run says that it runs, or even that it ended well."""
    return (run.get("status") or {}).get("reason") in {"Running", "Succeeded"}


def pool_is_full(made: Setting) -> bool:
    """Tell whether all pods that should stand ready do."""
    return sum(map(agent_sandbox.is_ready, made.get(WARM_PODS).get("items", []))) >= REPLICAS


@contextmanager
def resized(made: Setting, replicas: int) -> Iterator[None]:
    """Have a pool of so many pods, full, while the block runs."""
    where = ("patch", "agent", "-n", BANK, "dispute-resolver", "--type=merge", "-p")
    made.stage.kubectl(*where, warm(replicas))
    try:
        until(lambda: pool_is_full(made), "the agent's pool is full")
        yield
    finally:
        made.stage.kubectl(*where, warm(0))


def warm(replicas: int) -> str:
    """Return the patch that sizes the pool."""
    return f'{{"spec": {{"warm": {{"replicas": {replicas}}}}}}}'


def spec_of(pod: dict[str, Any]) -> dict[str, Any]:
    """Return what a pod was made with, without what only it has."""
    own = copy.deepcopy(pod["spec"])
    return {key: value for key, value in own.items() if key not in {"nodeName", "activeDeadlineSeconds"}}


def sleeping(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the same pod doing nothing, for a pool whose pods have nobody to ask."""
    own = copy.deepcopy(spec) | {"serviceAccountName": "default"}
    own.pop("serviceAccount", None)
    own["containers"][0]["command"] = SLEEP
    return own
