"""How long the processes of a run live on when its authority is taken back, on a cluster with all of Remit."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.options import Options
from benchmarks.revocation_world import an_object, model_grant, rule
from benchmarks.setting import Setting, furnished, until
from remit.api.meta import API_VERSION
from remit.cli.revoke import Scope, revocation
from remit.cluster.images import BUSYBOX_IMAGE

NAMESPACE = "bench-revoked"
ROUNDS = 2
"""Of each way."""
PLENTY = 1_000_000
POLL_SECONDS = 0.005
LONGEST_SECONDS = 60.0
REMIT = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}"
SPANS = itertools.count(100_000)
"""What each run's process sleeps: its command line is found by it."""

Way = Callable[[Setting, str], None]


def pods_dead(options: Options) -> list[tuple[str, float]]:
    """Take authority back from runs that work; return how, and the seconds until their processes were gone."""
    made = furnished(options)
    made.stage.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
    found = []
    for _ in range(max(1, min(options.rounds_or(ROUNDS), ROUNDS))):
        for name, take in WAYS.items():
            found.append((name, one(made, take)))
            options.say(f"{name}: {found[-1][1]:.2f} s")
    return found


def one(made: Setting, take: Way) -> float:
    """Start one run, take its authority back, and wait until its process is gone."""
    span = next(SPANS)
    name = f"sleeper-{span}"
    made.delete(f"{REMIT}/policies/{REVOCATION['metadata']['name']}")
    made.stage.apply([placed(each) for each in (model_grant(), policy(), agent(span))])
    until(lambda: ready(made), "the agent is ready")
    made.create(f"{REMIT}/agentruns", placed(run(name)))
    until(lambda: processes(span), f"{name} works")
    began = time.monotonic()
    take(made, name)
    while processes(span):
        if time.monotonic() - began > LONGEST_SECONDS:
            break
        time.sleep(POLL_SECONDS)
    taken = time.monotonic() - began
    made.delete(f"{REMIT}/agentruns/{name}")
    return taken


def processes(span: int) -> list[int]:
    """Return the processes of the run that sleeps so long: containers are processes of this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", str(span).encode()]:
            found.append(int(path.parent.name))
    return found


def ready(made: Setting) -> bool:
    """Tell whether the agent as it is now is ready."""
    found = made.get(f"{REMIT}/agents/clerk")
    status, generation = found.get("status", {}), found.get("metadata", {}).get("generation")
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    return conditions.get("Ready") == "True" and status.get("observedGeneration") == generation


def change(made: Setting, path: str, spec: dict[str, Any]) -> None:
    """Change an object's spec."""
    made.api.call("PATCH", path, {"spec": spec}, "merge-patch+json")


def suspend(made: Setting, _name: str) -> None:
    """Suspend the agent."""
    change(made, f"{REMIT}/agents/clerk", {"lifecycle": "Suspended"})


def revoke(made: Setting, _name: str) -> None:
    """Revoke everything in the namespace."""
    made.create(f"{REMIT}/policies", REVOCATION)


def terminate(made: Setting, name: str) -> None:
    """Terminate the run."""
    change(made, f"{REMIT}/agentruns/{name}", {"desired": "Terminated"})


WAYS: dict[str, Way] = {"agent suspended": suspend, "namespace revoked": revoke, "run terminated": terminate}
REVOCATION = revocation(Scope(NAMESPACE, NAMESPACE), "a trial")


def placed(thing: dict[str, Any]) -> dict[str, Any]:
    """Put an object into the namespace."""
    return thing | {"metadata": thing["metadata"] | {"namespace": NAMESPACE}}


def agent(span: int) -> dict[str, Any]:
    """Return an agent whose process only sleeps."""
    container = {"image": BUSYBOX_IMAGE, "command": ["sleep", str(span)]}
    spec = {
        "owner": "bench@example.com",
        "purposes": ["bench"],
        "lifecycle": "Active",
        "runtime": {"container": container},
        "instructions": {"inline": "Sleep."},
        "model": {"grant": "model", "name": "none"},
    }
    return an_object("Agent", "clerk", spec)


def policy() -> dict[str, Any]:
    """Return a policy that allows everything, images by tag too."""
    budget = {"per": "Run", "costMicroUSD": PLENTY, "tokens": PLENTY, "toolCalls": PLENTY, "wallClockSeconds": 3600}
    return an_object("Policy", "rules", {"rules": [rule("Allow")], "budgets": [budget], "sandbox": {"images": "Tag"}})


def run(name: str) -> dict[str, Any]:
    """Return a run."""
    return an_object("AgentRun", name, {"agent": "clerk", "purpose": "bench", "input": {}})
