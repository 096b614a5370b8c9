"""The gateway as a process beside a real apiserver, with its own account: it acknowledges, and nobody calls it."""

import http.client
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.controller_process import free_port
from tests.support.polling import eventually


@dataclass
class HostGateway:
    """One gateway; its ledger and key are in the folder."""

    kubeconfig: Path
    folder: Path
    agent_port: int = field(default_factory=free_port)
    control_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until its view is fresh."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "REMIT_HOST": "127.0.0.1",
            "REMIT_AGENT_PORT": str(self.agent_port),
            "REMIT_CONTROL_PORT": str(self.control_port),
            "REMIT_LEDGER_PATH": str(self.folder / "ledger.sqlite"),
            "REMIT_SIGNING_KEY_PATH": str(self.folder / "none.key"),
        }
        with (self.folder / "gateway.log").open("ab") as sink:
            line = [sys.executable, "-m", "remit.gateway"]
            self.process = subprocess.Popen(line, env=environment, stdout=sink, stderr=sink)
        eventually(self.is_ready, within_seconds=300, why=f"the gateway's view is fresh; its log: {self.folder}")

    def is_ready(self) -> bool:
        """Tell whether it serves."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError((self.folder / "gateway.log").read_text()[-2000:])
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(timeout=20) == 0, (self.folder / "gateway.log").read_text()[-2000:]
