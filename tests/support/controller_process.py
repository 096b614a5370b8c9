"""The controller as a process, as a test starts, watches and kills it."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml
from tests.support.kube import Kube
from tests.support.polling import eventually

IMAGE = "remit.dev/busybox:1"
"""Stands in for the harness: it only has to run."""


def kubeconfig_of(kube: Kube, account: str) -> dict[str, Any]:
    """Return a kubeconfig that speaks as an account of the install namespace."""
    path = f"/api/v1/namespaces/remit-system/serviceaccounts/{account}/token"
    answer = kube.send("POST", path, {"spec": {"expirationSeconds": 7200}})
    assert answer.code == 201, answer.message
    whole: dict[str, Any] = yaml.safe_load(kube.kubeconfig.read_text())
    whole["users"][0]["user"] = {"token": answer.body["status"]["token"]}
    return whole


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ControllerProcess:
    """One controller; `start` may be called again after its end."""

    kubeconfig: Path
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=lambda: {"REMIT_LEASE": "off"})
    """Environment of its own: without a word it shares the cluster with no other controller."""

    def start(self, crash_at: str = "") -> None:
        """Start, and wait until it watches."""
        self.launch(crash_at)
        eventually(self.is_ready, within_seconds=30, why=f"the controller watches; its log: {self.log}")

    def launch(self, crash_at: str = "") -> None:
        """Start without waiting: it may be meant to die on its way."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "REMIT_HARNESS_IMAGE": IMAGE,
            "REMIT_HOST": "127.0.0.1",
            "REMIT_METRICS_PORT": str(self.port),
            "REMIT_OUTCOME_GRACE_SECONDS": "2",
            "REMIT_STOP_GRACE_SECONDS": "2",
            "REMIT_CRASH_AT": crash_at,
            "REMIT_PROBE": "off",
            **self.settings,
        }
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "remit.controller"], env=environment, stdout=sink, stderr=sink
            )

    def is_ready(self) -> bool:
        """Tell whether it has listed everything."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split(" ")[0] == name)

    def leads(self) -> bool:
        """Tell whether it says that it leads."""
        return self.metric("remit_controller_leads") == 1

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(timeout=20) == 0, self.log.read_text()[-2000:]

    def killed(self) -> bool:
        """Tell whether it was killed at its crash point."""
        assert self.process is not None
        return self.process.poll() == -signal.SIGKILL
