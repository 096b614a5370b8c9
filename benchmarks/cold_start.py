"""`cold-start`: an AgentRun created → its first tools/call recorded, beside a bare pod created → its first request."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.figures import Anchor
from benchmarks.machine import circumstances, scratch
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError
from benchmarks.rows import Bound, Comparison
from benchmarks.setting import BARE, PAYMENTS, RUNS, SESSION, Setting, agent_run, furnished, until, wait_for_success
from remit.adapters.clock import SystemClock
from remit.api.names import pod_name
from remit.cli.demo.records import kind_of, statements
from remit.cli.demo.stage import BANK

ROUNDS = 8
MOST = 1.15
PODS = f"/api/v1/namespaces/{BARE}/pods"
ANCHOR = Anchor(0.8, 2.0)
"""Seconds from a pod's creation to Ready on an ordinary node, as others published them."""
FIRST_REQUEST_SECONDS = 60.0


class Listener:
    """Notes when the first request under each path prefix came in."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.first: dict[str, float] = {}
        self.port = 0

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
    listener.port = server.server_address[1]
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
    ours: list[float] = []
    bare: list[float] = []
    again: list[float] = []
    with listening(made.host) as listener:
        for number in range(min(options.rounds_or(ROUNDS), len(PAYMENTS))):
            seconds, spec = governed(made, number)
            ours.append(seconds)
            bare.append(plain(made, listener, f"bare-{number}-a", spec))
            again.append(plain(made, listener, f"bare-{number}-b", spec))
            options.say(f"run {ours[-1]:.2f} s; bare pod {bare[-1]:.2f} s and {again[-1]:.2f} s")
    return [comparison(ours, bare, again)]


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


def governed(made: Setting, number: int) -> tuple[float, dict[str, Any]]:
    """Return the seconds to the intent of a run's first tools/call, and its pod's spec."""
    name = f"bench-cold-{number}-{SESSION}"
    created = SystemClock().now()
    made.create(RUNS, agent_run(name, PAYMENTS[number]))
    where = f"/api/v1/namespaces/{BANK}/pods/{pod_name(name, 1)}"
    until(lambda: made.get(where), f"the pod of {name} is there")
    spec: dict[str, Any] = made.get(where)["spec"]
    wait_for_success(made, name)
    recorded = first_tool_intent(statements(made.stage, name))
    made.delete(f"{RUNS}/{name}")
    return recorded - created, spec


def first_tool_intent(found: list[dict[str, Any]]) -> float:
    """Return when the first intent of a tools/call was recorded, in seconds since the epoch."""
    for statement in found:
        predicate = statement["predicate"]
        if kind_of(statement) == "intent" and predicate["call"]["kind"] == "tool":
            return datetime.fromisoformat(predicate["time"]).timestamp()
    raise BenchmarkError("the run's evidence has no intent of a tools/call")


def plain(made: Setting, listener: Listener, name: str, spec: dict[str, Any]) -> float:
    """Return the seconds to the first request of a bare pod."""
    made.delete(f"{PODS}/{name}")
    url = f"http://{made.host}:{listener.port}/{name}"
    created = SystemClock().now()
    made.create(PODS, bare_pod(name, spec, url))
    until(lambda: name in listener.first, f"{name} makes a request", FIRST_REQUEST_SECONDS)
    made.delete(f"{PODS}/{name}")
    return listener.first[name] - created


def bare_pod(name: str, spec: dict[str, Any], url: str) -> dict[str, Any]:
    """Return a pod that differs from a run's only in its account, its labels and whom it calls."""
    own = {key: value for key, value in copy.deepcopy(spec).items() if key not in {"nodeName", "serviceAccount"}}
    own["serviceAccountName"] = "default"
    for container in own["containers"]:
        container["env"] = [{"name": "REMIT_GATEWAY_URL", "value": url}]
    meta = {"name": name, "namespace": BARE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": own}
