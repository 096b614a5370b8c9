"""A cluster that is down left nothing behind, and another one beside it never noticed."""

import os
from pathlib import Path

from tests.e2e.cluster import snapshot
from tests.e2e.cluster.pods import PORT, address, eventually_reaches, reaches, run, server, sleeper
from tests.e2e.cluster.world import ADDRESS, world
from tests.e2e.cluster.world import PORT as WORLD_PORT

from remit.cluster import Cluster


def test_two_clusters_stand_side_by_side_and_one_leaves_nothing_of_itself(own: Cluster) -> None:
    run(own, server("same-name"))
    run(own, sleeper("asks"))
    before = {row.name: row.pid for row in own.status()}
    pod_before = container_of(own)
    other = Cluster(f"gone-{os.getpid()}")
    machine = snapshot.take(besides=other.name)
    other.up()
    run(other, server("same-name"))
    processes = snapshot.processes_of(other)
    link = snapshot.link_of(other)
    assert len(processes) > 10

    assert other.down()

    assert not snapshot.pids() & processes
    assert not snapshot.mentions(other.layout.root)
    assert not other.layout.root.exists()
    assert not (Path("/sys/class/net") / link).exists()
    assert machine.differences(snapshot.take(besides=other.name)) == {}
    assert {row.name: row.pid for row in own.status() if row.well} == before
    assert container_of(own) == pod_before
    assert reaches(own, "asks", address(own, "same-name"), PORT)


def container_of(cluster: Cluster) -> str:
    return cluster.kubectl("get", "pod", "same-name", "-o", "jsonpath={.status.containerStatuses[0].containerID}")


def test_a_half_dead_cluster_leaves_nothing_either() -> None:
    cluster = Cluster(f"half-{os.getpid()}")
    machine = snapshot.take(besides=cluster.name)
    cluster.up()
    for file in cluster.layout.run.glob("*.json"):
        if file.name != "room.json":
            file.unlink()
    cluster.layout.containerd_socket.unlink()
    assert cluster.down()
    assert machine.differences(snapshot.take(besides=cluster.name)) == {}
    assert not cluster.down()


def test_a_way_to_the_internet_is_there_when_asked_for_and_goes_without_a_trace() -> None:
    cluster = Cluster(f"out-{os.getpid()}")
    target = (ADDRESS, WORLD_PORT)
    machine = snapshot.take(besides=cluster.name)
    with world(f"w{os.getpid()}"):
        cluster.up(print)
        run(cluster, sleeper("asks"))
        eventually_reaches(cluster, "asks", target, wanted=False)
        cluster.up(print, internet=True)
        eventually_reaches(cluster, "asks", target, wanted=True)
        cluster.up(print)
        assert f"table ip {snapshot.link_of(cluster)}" in snapshot.said("nft", "list", "tables")
        cluster.up(print, internet=False)
        eventually_reaches(cluster, "asks", target, wanted=False)
        cluster.up(print, internet=True)
        assert cluster.down()
    assert machine.differences(snapshot.take(besides=cluster.name)) == {}
