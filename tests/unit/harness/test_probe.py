"""The probe's script: it finds what is open, and says when nothing is proven."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from remit.harness import probe as script

NOBODY = "127.0.0.1:1"


@contextmanager
def a_door() -> Iterator[str]:
    """Listen, and return where."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield f"127.0.0.1:{door.getsockname()[1]}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address beyond this machine, and no long waits."""
    monkeypatch.setattr(script, "METADATA", (NOBODY,))
    monkeypatch.setattr(script, "NODE_PORTS", (1,))
    monkeypatch.setattr(script, "CONTROL_SECONDS", 0.4)


def found(tmp_path: Path, gateway: str, targets: dict[str, list[str]], **environment: str) -> dict[str, object]:
    """Run the probe and return its last words."""
    log = tmp_path / "termination-log"
    assert script.probe(f"http://{gateway}", json.dumps(targets), environment, log) == 0
    said: dict[str, object] = json.loads(log.read_text())
    return said


def test_what_is_closed_is_proven_by_a_gateway_that_is_open(tmp_path: Path) -> None:
    with a_door() as gateway:
        said = found(tmp_path, gateway, {"pod": [NOBODY], "dns": [NOBODY]}, KUBERNETES_SERVICE_HOST="127.0.0.1")
    assert said == {"control": True, "tried": 4, "reached": [], "nodesTried": 0, "node": []}


def test_what_is_open_is_named_and_the_node_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_door() as gateway, a_door() as pod, a_door() as node:
        monkeypatch.setattr(script, "NODE_PORTS", (int(node.rpartition(":")[2]),))
        said = found(tmp_path, gateway, {"pod": [pod], "dns": [pod]}, REMIT_NODE_ADDRESSES="127.0.0.1")
    assert (said["reached"], said["node"]) == ([f"dns {pod}", f"pod {pod}"], [node])


def test_a_dead_network_is_no_proof(tmp_path: Path) -> None:
    assert found(tmp_path, NOBODY, {})["control"] is False


def test_a_name_server_that_answers_is_a_way_out() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{server.getsockname()[1]}"
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(script.resolves, where)
            _, who = server.recvfrom(512)
            server.sendto(b"answer", who)
            assert asked.result()


def test_addresses_of_both_families() -> None:
    assert script.node_addresses({"REMIT_NODE_ADDRESSES": "10.0.0.1,fd00::1"}) == ["10.0.0.1:1", "[fd00::1]:1"]
    assert script.split("[fd00::1]:53") == ("fd00::1", 53)
