"""A harness that is told to end does so at once, whatever it waits for: revoked authority waits for nobody."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.polling import eventually

from remit.api.names import SIDECAR_PORT

TERMINATED = 143


@pytest.fixture
def silent_gateway() -> Iterator[socket.socket]:
    """A listener that never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)
        yield listener


@pytest.fixture
def environment(silent_gateway: socket.socket, tmp_path: Path) -> dict[str, str]:
    """What a pod gives its containers."""
    token = tmp_path / "token"
    token.write_text("a-token")
    address = f"http://127.0.0.1:{silent_gateway.getsockname()[1]}"
    return {**os.environ, "REMIT_GATEWAY_URL": address, "REMIT_TOKEN_PATH": str(token)}


def test_a_harness_that_waits_for_its_gateway_ends_when_it_is_told_to(
    silent_gateway: socket.socket, environment: dict[str, str]
) -> None:
    with subprocess.Popen([sys.executable, "-m", "remit.harness"], env=environment) as harness:
        try:
            connection, _ = silent_gateway.accept()
            with connection:
                harness.send_signal(signal.SIGTERM)
                assert harness.wait(timeout=10) == TERMINATED
        finally:
            harness.kill()


def asked() -> socket.socket:
    """Ask the sidecar for something."""
    connection = socket.create_connection(("127.0.0.1", SIDECAR_PORT), timeout=5)
    connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n")
    return connection


def test_a_sidecar_with_a_call_under_way_ends_when_it_is_told_to(
    silent_gateway: socket.socket, environment: dict[str, str]
) -> None:
    with subprocess.Popen([sys.executable, "-m", "remit.harness", "sidecar"], env=environment) as sidecar:
        try:
            caller = eventually(asked, why="the sidecar listens")
            passed_on, _ = silent_gateway.accept()
            with caller, passed_on:
                sidecar.send_signal(signal.SIGTERM)
                assert sidecar.wait(timeout=10) == TERMINATED
        finally:
            sidecar.kill()
