"""`gateway-cpu`: CPU per governed tools/call and chat completion, beside Go's reverse proxy, which governs nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.estate import MODEL, token_of
from benchmarks.figures import Anchor, median
from benchmarks.machine import ROOT, built_peer, circumstances, scratch
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError, cpu_seconds, free_port, output_of, running
from benchmarks.rows import Bound, Comparison
from remit.api.wire import HEADER_CALL_ID, META_CALL_ID, OPENAI_BASE_PATH

CALLERS = 16
ROUNDS = 9
REQUESTS = 1600
"""At the gateway in each round: 100 for each run, as each caller has a run of its own in each round."""
PEER_REQUESTS = 9600
"""At the peer in each round: /proc counts CPU in steps of 10 ms, and the peer uses little of it."""
ROUND_SECONDS = 60.0
MOST_MICROSECONDS = 1000.0
ANCHOR = Anchor(53, 64)
"""CPU of Go's ReverseProxy per request on a 2-core machine in 2026."""
EXAMPLE = ROOT / "examples" / "01-bank-dispute"
MARK = "CALL_NUMBER"
SYSTEM_PATH = "/usr/bin:/bin"
MCP_VERSION = "2026-07-28"


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call: the same body on both sides."""

    name: str
    path: str
    """At the gateway."""
    peer_path: str
    body: str
    headers: Mapping[str, str]
    wanted: str
    """What a good answer holds."""


@dataclass(frozen=True, slots=True)
class Side:
    """One process that stands between callers and upstream."""

    name: str
    port: int
    pid: int


@dataclass
class Sample:
    """What one round of one side took."""

    microseconds: float
    rps: float
    p50_ms: float
    p99_ms: float


@dataclass
class Sides:
    """The samples of both sides, and of the peer measured a second time."""

    ours: list[Sample] = field(default_factory=list)
    peer: list[Sample] = field(default_factory=list)
    again: list[Sample] = field(default_factory=list)


def tools_call() -> Operation:
    """Return a Financial write: it meets every rule and a constraint, carries a key, and its answer is kept."""
    name = "issue_provisional_credit"
    params = {
        "name": name,
        "arguments": {"account": "ACC-4711", "dispute_id": "DSP-000001", "amount_cents": 12550},
        "_meta": {
            META_CALL_ID: f"call-{MARK}",
            "io.modelcontextprotocol/protocolVersion": MCP_VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"MCP-Protocol-Version": MCP_VERSION, "Mcp-Method": "tools/call", "Mcp-Name": name}
    return Operation("tools-call", "/mcp", "/mcp", json.dumps(body), headers, '"isError":false')


def chat_completion() -> Operation:
    """Return a chat completion of about 1 kB."""
    said = "The customer says that the payment of 125.50 at VOLTMART ONLINE was not theirs. " * 10
    messages = [{"role": "system", "content": "You resolve card disputes."}, {"role": "user", "content": said}]
    body = {"model": MODEL, "messages": messages, "max_tokens": 256, "user": f"{MARK}"}
    return Operation(
        "chat-completion",
        f"{OPENAI_BASE_PATH}/chat/completions",
        "/v1/chat/completions",
        json.dumps(body),
        {HEADER_CALL_ID: f"call-{MARK}"},
        '"finish_reason"',
    )


def measure(options: Options) -> list[Comparison]:
    """Measure both operations on both sides, in turn."""
    folder, rounds = scratch("gateway-cpu"), options.rounds_or(ROUNDS)
    programs = {name: built_peer(name, folder, options.say) for name in ("reverseproxy", "upstream", "load")}
    operations = (tools_call(), chat_completion())
    runs = CALLERS * (rounds + 1) * len(operations)
    disk = circumstances(folder)
    with ExitStack() as stack:
        upstream = stack.enter_context(served_upstream(programs["upstream"], folder))
        proxy = stack.enter_context(served_proxy(programs["reverseproxy"], upstream, folder))
        gateway = stack.enter_context(served_gateway(upstream, runs, folder))
        bench = Bench(programs["load"], gateway, proxy, options)
        found = [(each, bench.compare(each, rounds)) for each in operations]
    return [comparison(operation, sides, disk) for operation, sides in found]


@contextmanager
def served_upstream(program: Path, folder: Path) -> Iterator[str]:
    """Run the upstream; give its address."""
    port = free_port()
    with running([program, "-listen", f"127.0.0.1:{port}"], log=folder / "upstream.log", port=port):
        yield f"127.0.0.1:{port}"


@contextmanager
def served_proxy(program: Path, upstream: str, folder: Path) -> Iterator[Side]:
    """Run the peer."""
    port = free_port()
    line = [str(program), "-listen", f"127.0.0.1:{port}", "-upstream", f"http://{upstream}"]
    with running(line, log=folder / "reverseproxy.log", port=port) as process:
        yield Side("ReverseProxy", port, process.pid)


@contextmanager
def served_gateway(upstream: str, runs: int, folder: Path) -> Iterator[Side]:
    """Run the gateway."""
    port, control = free_port(), free_port()
    options = {
        "--example": EXAMPLE,
        "--ledger": folder / "ledger.sqlite",
        "--upstream": upstream,
        "--port": port,
        "--control-port": control,
        "--runs": runs,
    }
    line = [interpreter(), "-m", "benchmarks.governed", *(str(word) for pair in options.items() for word in pair)]
    packages = [str(ROOT), str(ROOT / "operator"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = {"PYTHONPATH": os.pathsep.join(packages)}
    with running(line, log=folder / "gateway.log", port=port, environment=environment) as process:
        yield Side("gateway", port, process.pid)


def interpreter() -> str:
    """Find Debian's Python, which the gateway's image ships; else this one."""
    return shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path=SYSTEM_PATH) or sys.executable


@dataclass
class Bench:
    """Makes load on one side at a time."""

    load: Path
    gateway: Side
    proxy: Side
    options: Options
    calls: int = 0
    runs: int = 0

    def compare(self, operation: Operation, rounds: int) -> Sides:
        """Measure an operation in interleaved rounds, after one that warms up."""
        sides = Sides()
        for number in range(rounds + 1):
            ours = self.round(self.gateway, operation.path, operation)
            peer = self.round(self.proxy, operation.peer_path, operation)
            again = self.round(self.proxy, operation.peer_path, operation)
            if number == 0:
                continue
            sides.ours.append(ours)
            sides.peer.append(peer)
            sides.again.append(again)
            self.options.say(
                f"{operation.name}: gateway {ours.microseconds:.0f} us, {ours.rps:.0f}/s; "
                f"ReverseProxy {peer.microseconds:.0f} and {again.microseconds:.0f} us, {peer.rps:.0f}/s"
            )
        return sides

    def round(self, side: Side, path: str, operation: Operation) -> Sample:
        """Make the round's requests at one side."""
        requests = REQUESTS if side is self.gateway else PEER_REQUESTS
        plan = {
            "url": f"http://127.0.0.1:{side.port}{path}",
            "body": operation.body,
            "callers": [{"headers": self.headers(side, operation)} for _ in range(CALLERS)],
            "requests": requests,
            "first": self.calls,
            "seconds": ROUND_SECONDS,
            "wanted": operation.wanted,
        }
        self.calls += requests
        before = cpu_seconds(side.pid)
        report = self.generate(plan, side)
        used = cpu_seconds(side.pid) - before
        made = report["requests"]
        return Sample(used / made * 1e6, made / report["seconds"], report["p50_ms"], report["p99_ms"])

    def headers(self, side: Side, operation: Operation) -> dict[str, str]:
        """Return a caller's headers; at the gateway each caller of each round speaks for a run of its own."""
        number = self.runs
        if side is self.gateway:
            self.runs += 1
        return {**operation.headers, "Authorization": f"Bearer {token_of(number)}"}

    def generate(self, plan: dict[str, Any], side: Side) -> dict[str, Any]:
        """Run the load generator, which is a process of neither side."""
        printed = output_of([self.load], seconds=ROUND_SECONDS * 2, given=json.dumps(plan))
        report: dict[str, Any] = json.loads(printed)
        if report["failed"] or not report["requests"]:
            raise BenchmarkError(f"{side.name}: {report['failed']} of {report['requests']} failed: {report['failure']}")
        return report


def comparison(operation: Operation, sides: Sides, disk: str) -> Comparison:
    """Lay the samples beside each other."""
    return Comparison(
        name=f"gateway-cpu/{operation.name}",
        peer="Go httputil.ReverseProxy, ungoverned (pooled buffers and connections)",
        unit="us CPU/call",
        bound=Bound("figure", MOST_MICROSECONDS),
        ours=[each.microseconds for each in sides.ours],
        peers=[each.microseconds for each in sides.peer],
        control=[each.microseconds for each in sides.again],
        anchor=ANCHOR,
        notes=[
            told("gateway", sides.ours),
            told("ReverseProxy", sides.peer),
            f"{CALLERS} callers, {REQUESTS} calls a round (peer: {PEER_REQUESTS}), {len(operation.body)} B bodies",
            "the gateway does: token → run, schema, CEL, budget, durable intent, secret, call, durable outcome",
            "ReverseProxy does not: authenticate, decide, meter, keep anything, or parse a body",
            "made up: the Kubernetes API; real: listeners, caches, ledger on its disk, upstream client",
            f"the gateway's Python: {'that of .venv' if interpreter() == sys.executable else 'that of its image'}",
            disk,
        ],
    )


def told(name: str, samples: list[Sample]) -> str:
    """Say what else was seen of a side."""
    rps, p50, p99 = (median([getattr(each, figure) for each in samples]) for figure in ("rps", "p50_ms", "p99_ms"))
    return f"{name}: {rps:.0f} calls/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
