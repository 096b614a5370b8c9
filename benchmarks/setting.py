"""The setting of the benchmarks that need a cluster: embedded, with Remit and example 01 on it, by the demo's code."""

from __future__ import annotations

import http
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from benchmarks.options import Options
from benchmarks.processes import BenchmarkError
from remit.api.names import INSTALL_NAMESPACE
from remit.cli.demo import setting
from remit.cli.demo.stage import BANK, SceneError, Stage, condition
from remit.cluster import Cluster, ClusterError, registry
from remit.cluster.api import Api
from remit.cluster.layout import Addresses

NAME = os.environ.get("REMIT_BENCH_CLUSTER", "remit-bench")
BARE = "bench-bare"
RUNS = f"/apis/remit.dev/v1alpha1/namespaces/{BANK}/agentruns"
PAYMENTS = (
    ("ACC-4711", "TXN-471101"),
    ("ACC-4711", "TXN-471103"),
    ("ACC-4711", "TXN-471104"),
    ("ACC-4712", "TXN-471201"),
    ("ACC-4713", "TXN-471302"),
    ("ACC-4714", "TXN-471401"),
    ("ACC-4715", "TXN-471501"),
    ("ACC-4716", "TXN-471601"),
)
"""A payment can be disputed once, so each run takes one of its own."""
SESSION = token_hex(4)
"""Nothing is done twice: the runs of another session on the same cluster are other work."""
SESSION = secrets.token_hex(3)
"""In the name of every run: work that was done once, in whatever session, is not done again."""
POLL_SECONDS = 0.05
FINISH_SECONDS = 120.0


@dataclass(frozen=True)
class Setting:
    """One furnished cluster, and plain HTTPS to its apiserver: starting kubectl takes longer than a write."""

    cluster: Cluster
    stage: Stage
    api: Api
    host: str
    """The address under which pods reach this machine."""

    def create(self, collection: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create an object."""
        answer = self.api.call("POST", collection, manifest)
        if answer.status != http.HTTPStatus.CREATED:
            raise BenchmarkError(f"{manifest['kind']} was not created: {answer.body.decode(errors='replace')}")
        created: dict[str, Any] = answer.json()
        return created

    def get(self, path: str) -> dict[str, Any]:
        """Return an object; empty when it is not there."""
        answer = self.api.get(path)
        found: dict[str, Any] = answer.json() if answer.found else {}
        return found

    def delete(self, path: str) -> None:
        """Delete an object at once, and wait until it is gone."""
        self.api.call("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        until(lambda: not self.get(path), f"{path} is gone")


def until(holds: Callable[[], object], why: str, seconds: float = FINISH_SECONDS) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"not within {seconds:.0f} s: {why}")
        time.sleep(POLL_SECONDS)


def furnished(options: Options) -> Setting:
    """Bring the cluster up, or heal it, and put Remit and the example on it; the bank's books begin anew."""
    try:
        stage = setting.own_cluster(NAME, options.say)
        setting.furnish(stage, options.say)
    except (SceneError, ClusterError) as error:
        raise BenchmarkError(str(error)) from error
    cluster = Cluster(NAME)
    record = registry.read(cluster.layout)
    if record is None:
        raise BenchmarkError(f"the cluster {NAME} went away")
    addresses = Addresses(record.index)
    made = Setting(cluster, stage, Api(addresses.server, cluster.layout.pki), addresses.host)
    stage.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": BARE}}])
    until(lambda: made.get(f"/api/v1/namespaces/{BARE}/serviceaccounts/default"), "the account of the bare pods")
    return made


def leave() -> None:
    """Take the cluster down, unless REMIT_KEEP_CLUSTER is set."""
    if not os.environ.get("REMIT_KEEP_CLUSTER"):
        with suppress(ClusterError):
            Cluster(NAME).down()


def agent_run(name: str, payment: tuple[str, str]) -> dict[str, Any]:
    """Return a run of the example's dispute agent, whose first turn calls a tool."""
    account, transaction = payment
    return {
        "apiVersion": "remit.dev/v1alpha1",
        "kind": "AgentRun",
        "metadata": {"name": name, "namespace": BANK},
        "spec": {
            "agent": "dispute-resolver",
            "purpose": "card-dispute",
            "case": {"id": f"BENCH-{SESSION}-{name}", "system": "disputes", "step": "provisional-credit"},
            "input": {
                "account": account,
                "transaction_id": transaction,
                "reason": "unauthorized",
                "from": "2026-05-01",
                "to": "2026-05-31",
            },
        },
    }


def is_closed(run: Mapping[str, Any]) -> bool:
    """Tell whether a run is finished, with its evidence."""
    status = run.get("status") or {}
    return condition(status, "Finished") == "True" and "evidence" in status


def wait_for_success(made: Setting, name: str) -> None:
    """Wait until a run has succeeded and its evidence is closed."""
    until(lambda: is_closed(made.get(f"{RUNS}/{name}")), f"run {name} is finished, with its evidence")
    status = made.get(f"{RUNS}/{name}")["status"]
    if status.get("reason") != "Succeeded":
        raise BenchmarkError(f"run {name} ended as {status.get('reason')}: {status}")


def our_accounts() -> frozenset[str]:
    """Return the users that the controller and the gateway are."""
    return frozenset(
        f"system:serviceaccount:{INSTALL_NAMESPACE}:{each}" for each in ("remit-controller", "remit-gateway")
    )
