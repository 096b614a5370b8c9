"""A cluster that is up runs pods, keeps them apart, keeps their files, and heals."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cluster.pods import (
    PORT,
    address,
    apply,
    eventually_reaches,
    pod,
    remove,
    run,
    server,
    sleeper,
)
from tests.support.polling import eventually

from remit.cluster import Cluster, ClusterError
from remit.cluster.components import NAMES
from remit.cluster.layout import Addresses
from remit.cluster.processes import load
from remit.cluster.registry import read

DENY_ALL = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "store"},
    "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}},
}


def node(cluster: Cluster) -> str:
    record = read(cluster.layout)
    assert record is not None
    return Addresses(record.index).node


def pid_of(cluster: Cluster, component: str) -> int:
    identity = load(cluster.layout.run / f"{component}.json")
    assert identity is not None
    return identity.pid


@pytest.fixture
def pair(own: Cluster) -> Iterator[str]:
    """A server and a client; gives the server's address."""
    run(own, server("server"))
    run(own, sleeper("client"))
    yield address(own, "server")
    own.kubectl("delete", "networkpolicy", "--all")
    remove(own, "server", "client")


def test_the_node_is_ready_and_all_components_are_well(own: Cluster) -> None:
    own.kubectl("wait", "--for=condition=Ready", "node/node-0", "--timeout=1s")
    assert [row.name for row in own.status() if not row.well] == []


def test_up_again_changes_nothing(own: Cluster) -> None:
    before = {row.name: row.pid for row in own.status()}
    own.up(print)
    assert {row.name: row.pid for row in own.status()} == before


@pytest.mark.parametrize("component", ["room", *NAMES])
def test_whatever_is_killed_is_brought_back(own: Cluster, component: str) -> None:
    os.kill(pid_of(own, component), signal.SIGKILL)
    eventually(lambda: not all(row.well for row in own.status()), why=f"{component} is missed")
    own.up(print)
    assert [row.name for row in own.status() if not row.well] == []
    run(own, sleeper(f"after-{component}"))


def test_a_lost_network_link_is_mended(own: Cluster) -> None:
    record = read(own.layout)
    assert record is not None
    subprocess.run(["ip", "link", "delete", Addresses(record.index).link], check=True)
    assert not all(row.well for row in own.status())
    own.up(print)
    assert [row.name for row in own.status() if not row.well] == []
    run(own, sleeper("after-link"))


def test_a_component_that_hangs_is_started_anew(own: Cluster) -> None:
    before = pid_of(own, "scheduler")
    os.kill(before, signal.SIGSTOP)
    own.up(print)
    assert pid_of(own, "scheduler") != before


def test_a_pid_that_somebody_else_has_by_now_is_left_alone(own: Cluster) -> None:
    """As after a restart of the machine: the files are there, the numbers mean other processes."""
    ours = own.layout.run / "scheduler.json"
    record = json.loads(ours.read_text())
    os.kill(record["pid"], signal.SIGKILL)
    ours.write_text(json.dumps({**record, "pid": os.getpid()}))
    own.up(print)
    assert pid_of(own, "scheduler") != os.getpid()


def test_a_policy_cuts_a_pod_off_from_pods_apiserver_and_kubelet(own: Cluster, pair: str) -> None:
    targets = ((pair, PORT), (node(own), 6443), (node(own), 10250))
    for target in targets:
        eventually_reaches(own, "client", target, wanted=True)
    apply(own, DENY_ALL)
    for target in targets:
        eventually_reaches(own, "client", target, wanted=False)


def test_a_volume_keeps_what_a_pod_without_root_wrote_and_is_emptied_for_the_next(own: Cluster) -> None:
    spec: dict[str, Any] = {
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 1000},
        "volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}],
        "container": {"volumeMounts": [{"name": "store", "mountPath": "/store"}]},
    }
    apply(own, CLAIM)
    run(own, pod("keeper", "sh", "-c", "echo kept > /store/file && sleep 3600", **spec))
    volume = own.kubectl("get", "pvc", "store", "-o", "jsonpath={.spec.volumeName}")
    uid = ("get", "pv", volume, "-o", "jsonpath={.metadata.uid}")
    before, file = own.kubectl(*uid), own.layout.volumes / volume / "file"
    eventually(file.exists, within_seconds=30, why="the file is written")
    remove(own, "keeper")
    assert file.read_text() == "kept\n"
    own.kubectl("delete", "pvc", "store")
    phase = ("get", "pv", volume, "-o", "jsonpath={.status.phase}")
    eventually(lambda: own.kubectl(*phase), lambda seen: seen == "Released", within_seconds=60, why="nobody claims it")
    own.up(print)
    assert not file.exists()
    eventually(lambda: own.kubectl(*phase), lambda seen: seen == "Available", within_seconds=60, why="it is offered")
    assert own.kubectl(*uid) == before


def test_a_pod_cannot_have_more_processes_than_the_limit(own: Cluster) -> None:
    run(own, sleeper("counted"))
    limits = [path.read_text().strip() for path in Path("/sys/fs/cgroup").glob(pids_limits(own))]
    remove(own, "counted")
    assert "512" in limits


def pids_limits(cluster: Cluster) -> str:
    return f"**/{cluster.layout.cgroup}/**/pids.max"


def test_who_changed_what_is_in_the_audit_log_and_reads_are_not(own: Cluster) -> None:
    own.kubectl("create", "configmap", "audited", "--from-literal=word=planted")
    own.kubectl("get", "configmap", "audited")
    entries = [json.loads(line) for line in own.audit_log_path.read_text().splitlines()]
    named = [entry for entry in entries if entry["objectRef"].get("name") == "audited"]
    assert [(each["verb"], each["user"]["username"], each["stage"]) for each in named] == [
        ("create", "admin", "ResponseComplete")
    ]
    assert "planted" not in own.audit_log_path.read_text()


def test_names_of_services_resolve(own: Cluster) -> None:
    name = b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00"
    question = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01"
    record = read(own.layout)
    assert record is not None
    addresses = Addresses(record.index)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(question, (addresses.node, 53))
        answer = client.recv(512)
    assert answer.endswith(socket.inet_aton(addresses.kubernetes_service))


def test_a_file_that_is_no_image_is_refused(own: Cluster, tmp_path: Path) -> None:
    archive = tmp_path / "not-an-image.tar"
    archive.write_text("no")
    with pytest.raises(ClusterError, match="images import"):
        own.load_image(archive)


def test_an_image_that_is_not_there_is_named(own: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"missing\.tar is not a file"):
        own.load_image(tmp_path / "missing.tar")
