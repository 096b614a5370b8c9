"""`cold-start`: an AgentRun created → its first tools/call recorded, beside a bare pod created → its first request."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.figures import Anchor
from benchmarks.machine import circumstances, scratch
from benchmarks.observers import Observer, observing
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError
from benchmarks.rows import Bound, Comparison
from benchmarks.setting import (
    BARE,
    PAYMENTS,
    RUNS,
    SESSION,
    Setting,
    agent_run,
    furnished,
    is_closed,
    until,
    wait_for_success,
)
from remit.adapters.access import from_kubeconfig
from remit.adapters.clock import SystemClock
from remit.adapters.cluster import KubernetesCluster
from remit.api.meta import API_VERSION
from remit.api.names import pod_name
from remit.cli.demo.records import kind_of, statements
from remit.cli.demo.stage import BANK

ROUNDS = 8
MOST = 1.15
PODS = f"/api/v1/namespaces/{BARE}/pods"
ANCHOR = Anchor(0.8, 2.0)
"""Seconds from a pod's creation to Ready on an ordinary node, as others published them."""
FIRST_REQUEST_SECONDS = 60.0
REST_SECONDS = 1.5
"""Between two measurements: what the one leaves to be tidied does not fall into the next."""


class Listener:
    """Notes when the first request under each path prefix came in."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.first: dict[str, float] = {}
        self.address = ""
        """Host and port."""

    def url(self, name: str) -> str:
        """Return where a pod of that name is to ask."""
        return f"http://{self.address}/{name}"

    def note(self, path: str) -> None:
        """Note a request for /NAME/…; only the first one of a name counts."""
        self.first.setdefault(path.split("/")[1], SystemClock().now())


@contextmanager
def listening(host: str) -> Iterator[Listener]:
    """Listen on this machine, where the pods of the embedded cluster reach it."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        """Refuses everything: the first request is all that is wanted."""

        def do_GET(self) -> None:
            """Note a request, whatever it asks."""
            listener.note(self.path)
            body = b'{"error":{"reason":"RunNotFound","message":"the benchmark has seen enough"}}'
            self.send_response(404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    listener.address = f"{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def measure(options: Options) -> list[Comparison]:
    """Start runs and bare pods, one after the other."""
    made = furnished(options)
    with listening(made.host) as listener:
        return [asyncio.run(all_rounds(made, listener, options))]


async def all_rounds(made: Setting, listener: Listener, options: Options) -> Comparison:
    """Do the rounds. Both sides are created by one client, and nobody polls the apiserver while they start."""
    ours: list[float] = []
    bare: list[float] = []
    again: list[float] = []
    async with (
        KubernetesCluster(from_kubeconfig(made.stage.kubeconfig)) as cluster,
        observing(cluster, API_VERSION, "AgentRun", is_closed) as runs,
    ):
        for number in range(min(options.rounds_or(ROUNDS), len(PAYMENTS))):
            seconds, spec = await governed(made, cluster, runs, number)
            ours.append(seconds)
            for letter, seen in (("a", bare), ("b", again)):
                name = f"bare-{number}-{letter}"
                seen.append(await plain(made, cluster, listener, bare_pod(name, spec, listener.url(name))))
            options.say(f"run {ours[-1]:.2f} s; bare pod {bare[-1]:.2f} s and {again[-1]:.2f} s")
    return comparison(ours, bare, again)


def comparison(ours: list[float], bare: list[float], again: list[float]) -> Comparison:
    """Lay the times beside each other."""
    return Comparison(
        name="cold-start",
        peer="a bare pod of the same image, command, limits and volumes",
        unit="s",
        bound=Bound("ratio", MOST),
        ours=ours,
        peers=bare,
        control=again,
        anchor=ANCHOR,
        notes=[
            "ours: AgentRun's creation sent → time in the intent entry of its first tools/call (same machine's clock)",
            "ours does in between: fetch input and tools, make one governed model call, record it durably",
            "bare: pod's creation sent → its first request at a listener on the host",
            "a bare pod does not: wait for its network policies to be seen, prove an identity, talk to a model, record",
            "both: image already on the node, scheduler and kubelet in the way, no other work on the cluster",
            circumstances(scratch("cold-start")),
        ],
    )


async def governed(
    made: Setting, cluster: KubernetesCluster, runs: Observer, number: int
) -> tuple[float, dict[str, Any]]:
    """Return the seconds to the intent of a run's first tools/call, and its pod's spec."""
    name = f"bench-cold-{number}-{SESSION}"
    await asyncio.sleep(REST_SECONDS)
    created = SystemClock().now()
    await cluster.create(agent_run(name, PAYMENTS[number]), "benchmark")
    await runs.when(name)
    await asyncio.to_thread(wait_for_success, made, name)
    pod = await cluster.get("v1", "Pod", BANK, pod_name(name, 1))
    if pod is None:
        raise BenchmarkError(f"the pod of {name} went before its time")
    found = await asyncio.to_thread(statements, made.stage, name)
    await asyncio.to_thread(made.delete, f"{RUNS}/{name}")
    return first_tool_intent(found) - created, pod["spec"]


def first_tool_intent(found: list[dict[str, Any]]) -> float:
    """Return when the first intent of a tools/call was recorded, in seconds since the epoch."""
    for statement in found:
        predicate = statement["predicate"]
        if kind_of(statement) == "intent" and predicate["call"]["kind"] == "tool":
            return datetime.fromisoformat(predicate["time"]).timestamp()
    raise BenchmarkError("the run's evidence has no intent of a tools/call")


async def plain(made: Setting, cluster: KubernetesCluster, listener: Listener, pod: dict[str, Any]) -> float:
    """Return the seconds to the first request of a bare pod."""
    name = pod["metadata"]["name"]
    await asyncio.to_thread(made.delete, f"{PODS}/{name}")
    await asyncio.sleep(REST_SECONDS)
    created = SystemClock().now()
    await cluster.create(pod, "benchmark")
    await asyncio.to_thread(until, lambda: name in listener.first, f"{name} asks", FIRST_REQUEST_SECONDS)
    await asyncio.to_thread(made.delete, f"{PODS}/{name}")
    return listener.first[name] - created


def bare_pod(name: str, spec: dict[str, Any], url: str) -> dict[str, Any]:
    """Return a pod that differs from a run's only in its account, its labels and whom it calls."""
    own = {key: value for key, value in copy.deepcopy(spec).items() if key not in {"nodeName", "serviceAccount"}}
    own["serviceAccountName"] = "default"
    for container in own["containers"]:
        container["env"] = [{"name": "REMIT_GATEWAY_URL", "value": url}]
    meta = {"name": name, "namespace": BARE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": own}
