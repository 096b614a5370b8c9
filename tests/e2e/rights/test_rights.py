"""Least privilege, measured: what Remit's accounts may do is what the apiserver's audit log saw them do."""

import json
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.audit import Log
from tests.support.objects import a_grant, a_policy, a_run, an_agent
from tests.support.polling import eventually
from tests.support.rights_used import Use, given, uses

from remit.adapters.clock import SystemClock
from remit.api.names import INSTALL_NAMESPACE
from remit.cli.demo.stage import Stage
from remit.cluster import Cluster
from remit.codegen.needs import ACCOUNTS

HOME = "rights-test"
IDLE_SECONDS = 20
OURS: Final = frozenset(f"system:serviceaccount:{INSTALL_NAMESPACE}:{account.name}" for account in ACCOUNTS)
SELDOM: Final[dict[tuple[str, str, str], str]] = {
    ("remit-controller", "delete", "controllerrevisions"): "unit/controller/test_revisions.py: collected when unused",
    ("remit-controller", "get", "controllerrevisions"): "apiserver/controller/test_kills.py: one is there already",
    ("remit-controller", "get", "events"): "apiserver/controller/test_kills.py: it was told before",
    ("remit-controller", "patch", "events"): "unit/controller/test_events.py: the same again is counted",
    ("remit-controller", "patch", "pods"): "e2e/warm: a run claims a pod that stands ready",
    ("remit-gateway", "get", "agentruns"): "apiserver/revocation: a run that is gone, before a copy of it is judged",
    ("remit-gateway", "patch", "configmaps"): "e2e/install/test_files.py: a gateway that made its own key",
}
"""(account, verb, resource) that this test does not come by → the test that does."""
EXPECTED_REFUSALS: Final = frozenset({("remit-gateway", "get", "secrets")})
"""Asked on purpose: whether a namespace's admin has bound a Secret, only the apiserver knows."""


def test_every_right_is_used_and_none_is_missing(stage: Stage, cluster: Cluster) -> None:
    live_a_life(stage)

    def look() -> tuple[list[str], list[str]]:
        seen = uses(cluster.audit_log_path)
        refusals = [use for use in seen if use.refusal and not use.is_too_late]
        refused = [use.text() for use in refusals if key(use) not in EXPECTED_REFUSALS]
        done = {use for use in seen if not use.refusal}
        unused = [use.text() for use, _ in given() if use not in done and key(use) not in SELDOM]
        return sorted(refused), sorted(unused)

    # a watch is in the log once it ends, which takes as long as it was asked to last
    refused, unused = eventually(look, lambda found: found == ([], []), within_seconds=90, every_seconds=2)
    assert (refused, unused) == ([], [])


def test_an_idle_installation_writes_at_most_once_a_second_leases_included(stage: Stage, cluster: Cluster) -> None:
    log, began = Log(cluster.audit_log_path), time.monotonic()

    def look() -> float | None:
        now = SystemClock().now()
        ours = [write for write in log.writes() if write.user in OURS and write.at >= now - IDLE_SECONDS]
        return len(ours) / IDLE_SECONDS if time.monotonic() - began >= IDLE_SECONDS else None

    eventually(
        look,
        lambda rate: rate is not None and rate <= 1,
        within_seconds=120,
        every_seconds=2,
        why="writes a second, once what other tests began has ended",
    )


def test_what_is_seldom_used_names_a_test_that_is_there() -> None:
    rights = {key(use) for use, _ in given()}
    assert set(SELDOM) <= rights, "a row is about a right that nobody has"
    tests = Path(__file__).resolve().parents[2]
    assert [why for why in SELDOM.values() if not (tests / why.partition(":")[0]).exists()] == []


def key(use: Use) -> tuple[str, str, str]:
    """Return how the tables above name it."""
    return use.account, use.verb, use.resource


def live_a_life(stage: Stage) -> None:
    """Take a namespace through everything that Remit does in one."""
    stage.kubectl("delete", "namespace", HOME, "--ignore-not-found")
    stage.kubectl("create", "namespace", HOME)
    create(stage, a_policy(), a_grant(), an_agent())
    until(stage, "agent", "teller", "Ready")
    create(stage, a_run("one", ttlSecondsAfterFinished=1))
    until(stage, "agentrun", "one", "Running", "Failed")
    patch(stage, "agent", "teller", {"spec": {"instructions": {"inline": "Resolve it otherwise."}}})
    stage.kubectl("delete", "agentrun", "one", "-n", HOME)
    patch(stage, "agent", "teller", {"spec": {"lifecycle": "Suspended"}})
    until(stage, "agent", "teller", "Suspended")
    stage.kubectl("delete", "agent", "teller", "-n", HOME)
    stage.kubectl("delete", "namespace", HOME, "--timeout=120s")


def create(stage: Stage, *things: dict[str, Any]) -> None:
    """Create objects as a user."""
    for thing in things:
        spec = {name: value for name, value in thing["spec"].items() if name != "requester"}
        made = {**thing, "metadata": {**thing["metadata"], "namespace": HOME}, "spec": spec}
        stage.kubectl("create", "-f", "-", given=json.dumps(made))


def patch(stage: Stage, kind: str, name: str, change: dict[str, Any]) -> None:
    """Change an object as a user."""
    stage.kubectl("patch", kind, name, "-n", HOME, "--type=merge", "-p", json.dumps(change))


def until(stage: Stage, kind: str, name: str, *reasons: str) -> None:
    """Wait until the leading condition has one of the reasons."""
    path = '{.status.conditions[?(@.type=="Ready")].reason}'
    eventually(
        lambda: stage.kubectl("get", kind, name, "-n", HOME, "-o", f"jsonpath={path}"),
        lambda seen: seen in reasons,
        within_seconds=60,
        why=f"{name} is {reasons}",
    )
