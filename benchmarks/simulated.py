"""A cluster where nothing runs: kubelet and gateway are played by status writes, controllers are processes of ours."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import BenchmarkError, free_port, tail
from benchmarks.rivals.work import LABEL as WORK_LABEL
from benchmarks.setting import Setting, until
from remit.adapters.cluster import KubernetesCluster
from remit.api.names import CONTROLLER_ACCOUNT, GATEWAY_ACCOUNT, GATEWAY_FIELD_MANAGER, INSTALL_NAMESPACE, LABEL_SANDBOX
from remit.ports import ClusterError

NODE = "node-0"
START_SECONDS = 120.0
PARTS = ("remit-controller", "remit-gateway")
PASSED = frozenset({404, 409, 422})
"""The pod went, or somebody was faster."""
DONE = {"reason": "Succeeded", "message": "played by the benchmark"}

Object = dict[str, Any]


@contextmanager
def emptied(made: Setting) -> Iterator[None]:
    """Send Remit's own processes away, and keep the node from running anything, while the block runs."""
    node = made.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    kubectl = made.stage.kubectl
    counts = {part: deployment(made, part)["spec"]["replicas"] for part in PARTS}
    for part in PARTS:
        kubectl("scale", "-n", INSTALL_NAMESPACE, f"deployment/{part}", "--replicas=0")
    until(lambda: all(not deployment(made, part).get("status", {}).get("replicas") for part in PARTS), "Remit is away")
    kubectl("cordon", node)
    try:
        yield
    finally:
        kubectl("uncordon", node)
        for part, count in counts.items():
            kubectl("scale", "-n", INSTALL_NAMESPACE, f"deployment/{part}", f"--replicas={count}")


def deployment(made: Setting, name: str) -> Object:
    """Return one of Remit's Deployments."""
    return made.get(f"/apis/apps/v1/namespaces/{INSTALL_NAMESPACE}/deployments/{name}")


def kubeconfig_of(made: Setting, account: str, folder: Path) -> Path:
    """Write a kubeconfig that speaks as an account of Remit's."""
    where = f"/api/v1/namespaces/{INSTALL_NAMESPACE}/serviceaccounts/{account}/token"
    body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 14_400}}
    token = made.create(where, body)["status"]["token"]
    whole = yaml.safe_load(made.stage.kubeconfig.read_text())
    whole["users"][0]["user"] = {"token": token}
    path = folder / f"{account}.kubeconfig"
    path.write_text(yaml.safe_dump(whole))
    path.chmod(0o600)
    return path


def controller_account(made: Setting, folder: Path) -> Path:
    """Return a kubeconfig of the controller's account."""
    return kubeconfig_of(made, CONTROLLER_ACCOUNT, folder)


def gateway_account(made: Setting, folder: Path) -> Path:
    """Return a kubeconfig of the gateway's account."""
    return kubeconfig_of(made, GATEWAY_ACCOUNT, folder)


@dataclass
class Process:
    """One controller process, ours or a rival."""

    module: str
    log: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        settings = {**os.environ, **self.environment, "REMIT_METRICS_PORT": str(self.port)}
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen([sys.executable, "-m", self.module], env=settings, stdout=sink, stderr=sink)

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT if self.module.startswith("benchmarks") else signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def pid(self) -> int:
        """Process id; raises BenchmarkError when it ended."""
        if self.process is None or self.process.poll() is not None:
            raise BenchmarkError(f"{self.module} ended: {tail(self.log)}")
        return self.process.pid

    def metric(self, name: str) -> float:
        """Return the sum of a metric of ours, over its labels; -1 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return -1.0
        found = [line.rpartition(" ")[2] for line in lines if line.partition("{")[0].partition(" ")[0] == name]
        return sum(map(float, found))

    def is_ready(self) -> bool:
        """Tell whether ours has listed everything."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
        except OSError:
            return False

    def rss_mib(self) -> float:
        """Return its resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise BenchmarkError("no VmRSS")


def ours(made: Setting, kubeconfig: Path, folder: Path) -> Process:
    """Return our controller, as the installation would run it, without a lease and without probing a network."""
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "REMIT_HARNESS_IMAGE": made.stage.images["harness"],
        "REMIT_HOST": "127.0.0.1",
        "REMIT_LEASE": "off",
        "REMIT_PROBE": "off",
    }
    return Process("remit.controller", folder / "controller.log", environment)


class Kubelet:
    """Has every pod run as soon as it is there, by a status write; nothing really runs."""

    def __init__(self, cluster: KubernetesCluster, selector: str) -> None:
        """Look after the pods that the selector chooses."""
        self._cluster = cluster
        self._selector = selector
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            async for change, pod in self._cluster.watch("v1", "Pod", self._selector):
                if change == "ADDED" and "nodeName" not in pod["spec"]:  # nobody else plays its kubelet
                    self._tasks.add(task := asyncio.create_task(self._start(pod)))
                    task.add_done_callback(self._tasks.discard)

    async def _start(self, pod: Object) -> None:
        metadata, now = pod["metadata"], pod["metadata"]["creationTimestamp"]
        state = {"running": {"startedAt": now}}
        status = {
            "phase": "Running",
            "podIPs": [{"ip": "10.255.255.254"}],
            "startTime": now,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "name": each["name"],
                    "image": each["image"],
                    "imageID": "",
                    "ready": True,
                    "restartCount": 0,
                    "state": state,
                }
                for each in pod["spec"]["containers"]
            ],
        }
        where = {"name": metadata["name"], "namespace": metadata["namespace"]}
        with_status = {"apiVersion": "v1", "kind": "Pod", "metadata": where, "status": status}
        try:
            await self._cluster.apply_status(with_status, "bench-kubelet")
        except ClusterError as error:
            if error.code not in PASSED:
                raise


class Gateway:
    """Says of every run, once it runs, how it ended."""

    def __init__(self, cluster: KubernetesCluster, api_version: str, kind: str, *, holding: str = "\0") -> None:
        """Speak of this kind; runs whose names begin with `holding` never end."""
        self._cluster = cluster
        self._api_version = api_version
        self._kind = kind
        self._holding = holding
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()
        self.started: list[str] = []
        """Names in the order in which they were seen to run."""
        self.ended: set[str] = set()
        self._changed = asyncio.Event()

    async def until_ended(self, names: set[str], seconds: float) -> None:
        """Wait until all of these have ended."""
        try:
            async with asyncio.timeout(seconds):
                while not names <= self.ended:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            missing = sorted(names - self.ended)
            raise BenchmarkError(f"{len(missing)} of {len(names)} did not end, {missing[0]} among them") from error

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            async for change, run in self._cluster.watch(self._api_version, self._kind):
                status = run.get("status") or {}
                if change not in {"ADDED", "MODIFIED"}:
                    continue
                uid, name = run["metadata"]["uid"], run["metadata"]["name"]
                if status.get("reason") == DONE["reason"]:
                    self.ended.add(name)
                    self._changed.set()
                elif status.get("reason") == "Running" and uid not in self._told:
                    self._told.add(uid)
                    self.started.append(name)
                    if not name.startswith(self._holding):
                        self._tasks.add(task := asyncio.create_task(self._end(run)))
                        task.add_done_callback(self._tasks.discard)

    async def _end(self, run: Object) -> None:
        where = {"name": run["metadata"]["name"], "namespace": run["metadata"]["namespace"]}
        told = {"apiVersion": self._api_version, "kind": self._kind, "metadata": where, "status": {"outcome": DONE}}
        await self._cluster.apply_status(told, GATEWAY_FIELD_MANAGER)


SANDBOXES, WORKS = LABEL_SANDBOX, WORK_LABEL
