"""A harness that is told to end does so at once, whatever it waits for: revoked authority waits for nobody."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TERMINATED = 143


@pytest.fixture
def silent_gateway() -> Iterator[socket.socket]:
    """A listener that never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)
        yield listener


def test_a_harness_that_waits_for_its_gateway_ends_when_it_is_told_to(
    silent_gateway: socket.socket, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("a-token")
    address = f"http://127.0.0.1:{silent_gateway.getsockname()[1]}"
    environment = {**os.environ, "REMIT_GATEWAY_URL": address, "REMIT_TOKEN_PATH": str(token)}
    with subprocess.Popen([sys.executable, "-m", "remit.harness"], env=environment) as harness:
        try:
            connection, _ = silent_gateway.accept()
            with connection:
                harness.send_signal(signal.SIGTERM)
                assert harness.wait(timeout=10) == TERMINATED
        finally:
            harness.kill()
