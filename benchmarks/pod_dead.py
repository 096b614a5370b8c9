"""`pod-dead`: authority taken back at any moment of a run's life; how long the processes of its pod live on."""

from __future__ import annotations

import itertools
import queue
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.audit import Log
from benchmarks.figures import median, percentile
from benchmarks.options import Options
from benchmarks.pod_processes import PodProcesses, cgroup_of_pod
from benchmarks.processes import BenchmarkError
from benchmarks.revocation_world import CONTROLLER, an_object, model_grant
from benchmarks.revocation_world import policy as lenient_policy
from benchmarks.rows import Bound, Comparison
from benchmarks.setting import SESSION, Setting, furnished, until
from remit.adapters.clock import SystemClock
from remit.api.meta import API_VERSION
from remit.api.names import pod_name
from remit.cli.demo.stage import condition
from remit.cli.revoke import Scope, revocation
from remit.cluster.images import BUSYBOX_IMAGE

TRIALS, SMALL_TRIALS = 120, 12
LANES = 6
"""Runs that live at the same time, each in a namespace of its own."""
OLDEST_SECONDS = 15.0
"""Authority is taken back somewhere between the process's first moment and this age."""
SEED = 5
SHARE = 0.99
BOUND_SECONDS = 3.0
POLL_SECONDS = 0.005
LONGEST_SECONDS = 60.0
LONGEST = 3
"""So many of the longest lives are told."""
FIRST_ATTEMPT = 1


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run an agent, and the word by which its process is known."""

    agent: str
    word: bytes
    spec: dict[str, Any]


RUNTIMES = {
    # as its container's first process it has no handler for SIGTERM, and so does not hear of it
    "deaf container": Runtime(
        "sleeper", b"sleep", {"container": {"image": BUSYBOX_IMAGE, "command": ["sleep", "3600"]}}
    ),
    "harness": Runtime("talker", b"remit.harness", {"harness": {}}),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What to do: how the agent runs, how its authority is taken back, and when, by the age of its process."""

    number: int
    runtime: str
    way: str
    age_seconds: float

    @property
    def run(self) -> str:
        """The run's name: no other session's."""
        return f"taken-{SESSION}-{self.number}"

    @property
    def pod(self) -> str:
        """The name of the run's pod."""
        return pod_name(self.run, FIRST_ATTEMPT)

    def text(self) -> str:
        """Say what is tried."""
        return f"{self.runtime}, {self.age_seconds:.1f} s old, {self.way}"


@dataclass(frozen=True, slots=True)
class Death:
    """What came of it: seconds from before the edit was sent, and when that was."""

    trial: Trial
    edited_at: float
    seconds: float
    reason: str
    """What the run says by then of its end."""


@dataclass(frozen=True)
class Lane:
    """One namespace, in which one run lives at a time: what is taken back there is taken from it alone."""

    made: Setting
    namespace: str
    model: str

    def path(self, plural: str, name: str = "") -> str:
        """Return the path of an object of Remit's, or of its kind."""
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    @property
    def revoked(self) -> dict[str, Any]:
        """The Policy that revokes everything in the namespace, as `remit revoke --own` makes it."""
        return revocation(Scope(self.namespace, self.namespace), "a trial")

    def furnish(self) -> None:
        """Make the namespace, and what every trial needs."""
        self.made.stage.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}])
        agents = [agent(each) for each in RUNTIMES.values()]
        self.made.stage.apply([self.placed(each) for each in (kept_model(self.model), policy(), *agents)])

    def placed(self, thing: dict[str, Any]) -> dict[str, Any]:
        """Put an object into the namespace."""
        return thing | {"metadata": thing["metadata"] | {"namespace": self.namespace}}

    def change(self, path: str, spec: dict[str, Any]) -> None:
        """Change an object's spec; raises BenchmarkError when that is refused."""
        answer = self.made.api.call("PATCH", path, {"spec": spec}, "merge-patch+json")
        if not answer.found:
            raise BenchmarkError(f"{path} was not changed: {answer.body.decode(errors='replace')}")

    def tried(self, trial: Trial) -> Death:
        """Have a run live to the trial's age, take its authority back, and wait until nothing of its pod lives."""
        runtime = RUNTIMES[trial.runtime]
        until(lambda: self.is_ready(runtime.agent), f"{self.namespace}: {runtime.agent} is ready")
        self.made.create(self.path("agentruns"), self.placed(run(trial.run, runtime.agent)))
        processes = self.started(trial, runtime)
        time.sleep(trial.age_seconds)
        if not processes.has(runtime.word):
            raise BenchmarkError(f"{trial.run} ended by itself within {trial.age_seconds:.1f} s")
        edited_at, began = SystemClock().now(), time.monotonic()
        WAYS[trial.way](self, trial)
        while processes.all() and time.monotonic() - began < LONGEST_SECONDS:
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - began
        status = self.made.get(self.path("agentruns", trial.run)).get("status", {})
        death = Death(trial, edited_at, seconds, str(status.get("reason", "")))
        self.restore(trial)
        return death

    def started(self, trial: Trial, runtime: Runtime) -> PodProcesses:
        """Wait for the run's own process."""
        pod = f"/api/v1/namespaces/{self.namespace}/pods/{trial.pod}"
        until(lambda: self.made.get(pod), f"{trial.run} has its pod")
        uid, cgroup = self.made.get(pod)["metadata"]["uid"], self.made.cluster.layout.cgroup
        until(lambda: cgroup_of_pod(uid, cgroup), f"the pod of {trial.run} has its cgroup")
        folder = cgroup_of_pod(uid, cgroup)
        assert folder is not None
        processes = PodProcesses(folder)
        until(lambda: processes.has(runtime.word), f"{trial.run} works")
        return processes

    def restore(self, trial: Trial) -> None:
        """Give back what was taken, without the run."""
        self.made.delete(self.path("agentruns", trial.run))
        self.made.delete(self.path("policies", self.revoked["metadata"]["name"]))
        self.change(self.path("agents", RUNTIMES[trial.runtime].agent), {"lifecycle": "Active"})

    def is_ready(self, name: str) -> bool:
        """Tell whether an agent as it is now is ready."""
        found = self.made.get(self.path("agents", name))
        status, generation = found.get("status", {}), found.get("metadata", {}).get("generation")
        return condition(status, "Ready") == "True" and status.get("observedGeneration") == generation


def suspend(lane: Lane, trial: Trial) -> None:
    """Suspend the agent."""
    lane.change(lane.path("agents", RUNTIMES[trial.runtime].agent), {"lifecycle": "Suspended"})


def revoke(lane: Lane, _trial: Trial) -> None:
    """Revoke everything in the namespace."""
    lane.made.create(lane.path("policies"), lane.placed(lane.revoked))


def terminate(lane: Lane, trial: Trial) -> None:
    """Terminate the run."""
    lane.change(lane.path("agentruns", trial.run), {"desired": "Terminated"})


WAYS: dict[str, Callable[[Lane, Trial], None]] = {
    "agent suspended": suspend,
    "namespace revoked": revoke,
    "run terminated": terminate,
}


def measure(options: Options) -> list[Comparison]:
    """Make the trials on a cluster with all of Remit, several runs at a time."""
    made = furnished(options)
    usual = SMALL_TRIALS if options.small else TRIALS
    todo = trials(min(options.rounds_or(usual), TRIALS), Random(SEED))  # noqa: S311 - to be repeated
    log = Log(made.cluster.audit_log_path)
    with keeping(made.host) as model:
        deaths = all_tried([Lane(made, f"bench-taken-{number}", model) for number in range(LANES)], todo, options)
    wanted = (CONTROLLER, "delete", "pods")
    found = [each for each in log.writes() if (each.user, each.verb, each.resource) == wanted]
    deleted = {each.name: each.at for each in reversed(found)}
    return [comparison(deaths, deleted)]


def trials(count: int, chance: Random) -> list[Trial]:
    """Return trials of every runtime in every way, at random ages."""
    kinds = itertools.islice(itertools.cycle(itertools.product(RUNTIMES, WAYS)), count)
    return [Trial(number, *kind, chance.uniform(0.0, OLDEST_SECONDS)) for number, kind in enumerate(kinds)]


def all_tried(lanes: Sequence[Lane], todo: Sequence[Trial], options: Options) -> list[Death]:
    """Make the trials: each lane takes the next one when it is free."""
    waiting: queue.SimpleQueue[Trial] = queue.SimpleQueue()
    for trial in todo:
        waiting.put(trial)
    for lane in lanes:
        lane.furnish()

    def go_on(lane: Lane) -> list[Death]:
        found: list[Death] = []
        while True:
            try:
                trial = waiting.get_nowait()
            except queue.Empty:
                return found
            found.append(lane.tried(trial))
            options.say(f"{found[-1].seconds:.2f} s: {trial.text()}: {found[-1].reason}")

    with ThreadPoolExecutor(len(lanes)) as pool:
        return [death for deaths in pool.map(go_on, lanes) for death in deaths]


@contextmanager
def keeping(host: str) -> Iterator[str]:
    """Be a model that keeps every call for as long as it is asked; yields its host and port."""

    class Handler(socketserver.BaseRequestHandler):
        """Reads until the caller gives up."""

        def handle(self) -> None:
            while self.request.recv(65_536):
                pass

    with socketserver.ThreadingTCPServer((host, 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def comparison(deaths: Sequence[Death], deleted: dict[str, float]) -> Comparison:
    """Lay out how long they lived on, and whose part it was; with fewer than 100 trials the longest is judged."""
    taken = [each.seconds for each in deaths]
    notes = [f"all {said(taken)}"]
    notes += [f"{name} {said([d.seconds for d in deaths if d.trial.runtime == name])}" for name in RUNTIMES]
    ours = {each.trial: deleted[each.trial.pod] - each.edited_at for each in deaths if each.trial.pod in deleted}
    rest = [each.seconds - ours[each.trial] for each in deaths if each.trial in ours]
    notes += [
        f"our part, edit sent → pod's deletion received: {said(list(ours.values()))}",
        f"the node's part, the rest: {said(rest)}",
        f"{len(deaths) - len(ours)} ended by themselves: their pods were left to them",
    ]
    longest = sorted(deaths, key=lambda each: -each.seconds)[:LONGEST]
    notes += [
        f"{each.seconds:.2f} s (ours {ours.get(each.trial, each.seconds):.2f}): {each.trial.text()}" for each in longest
    ]
    notes += [
        f"edit sent, 0 to {OLDEST_SECONDS:g} s after the process appeared → no process of any of its pod's containers",
        f"ages by seed {SEED}; up to {LANES} runs at a time; all of Remit is at work",
    ]
    return Comparison(
        name="revocation/pod-dead",
        peer="none: the bound is our own promise",
        unit="s p99",
        bound=Bound("figure", BOUND_SECONDS),
        ours=[percentile(taken, SHARE)],
        notes=notes,
    )


def said(samples: Sequence[float]) -> str:
    """Say how samples are spread."""
    if not samples:
        return "of 0"
    return (
        f"of {len(samples)}: p50 {median(samples):.2f}, p99 {percentile(samples, SHARE):.2f}, most {max(samples):.2f} s"
    )


def agent(runtime: Runtime) -> dict[str, Any]:
    """Return the agent of a runtime."""
    spec = {
        "owner": "bench@example.com",
        "purposes": ["bench"],
        "lifecycle": "Active",
        "runtime": runtime.spec,
        "instructions": {"inline": "Go on."},
        "model": {"grant": "model", "name": "none"},
    }
    return an_object("Agent", runtime.agent, spec)


def kept_model(address: str) -> dict[str, Any]:
    """Return the grant of the model that keeps every call."""
    grant = model_grant()
    grant["spec"]["agents"] = {"names": [each.agent for each in RUNTIMES.values()]}
    grant["spec"]["upstream"]["model"]["baseURL"] = f"http://{address}/v1"
    return grant


def policy() -> dict[str, Any]:
    """Return a policy that allows everything, images by tag too."""
    lenient = lenient_policy()
    return lenient | {"spec": lenient["spec"] | {"sandbox": {"images": "Tag"}}}


def run(name: str, of: str) -> dict[str, Any]:
    """Return a run."""
    return an_object("AgentRun", name, {"agent": of, "purpose": "bench", "input": {}})
