"""What the rows of warm starts, writes and scale are made of."""

from benchmarks import agent_sandbox
from benchmarks.api_writes import Tally
from benchmarks.api_writes import comparisons as writes_of
from benchmarks.audit import Count, Write
from benchmarks.rivals.work import pod_of, work
from benchmarks.rows import row_of
from benchmarks.scale import overtaken
from benchmarks.warm_start import Times, comparisons, sleeping, spec_of


def test_a_line_that_keeps_its_order_overtakes_nobody() -> None:
    assert overtaken(["a", "b", "c"], ["a", "b", "c"]) == 0
    assert overtaken(["a", "b", "c", "d"], ["b", "d", "c", "a"]) == 3


def test_each_warm_row_has_its_own_bound_and_peer() -> None:
    times = Times(
        running=[0.02], first_call=[0.04], claims=[0.06], claims_again=[0.06],
        jobs=[1.0], jobs_again=[1.0], bare=[0.8], bare_again=[0.8],
    )  # fmt: skip
    rows = {row["name"]: row for row in (row_of(each, "") for each in comparisons(times, "disk"))}

    assert {name: row["bound"] for name, row in rows.items()} == {
        "warm-start/first-call": "ratio <= 0.8",
        "warm-start/running": "ratio <= 0.5",
        "warm-start/job": "ratio <= 0.8",
        "warm-start/bare-pod": "ratio <= 0.15",
    }
    assert all(row["ok"] for row in rows.values())


def a_count(objects: int, events: int, everybody: int) -> Count:
    write = Write("remit-controller", "patch", "pods", "a", 0.0, 200)
    return Count(within=(write,) * objects, after=0, apart=events, everybody=everybody, events=events)


def test_writes_are_judged_cold_and_warm_with_everybodys_and_at_rest() -> None:
    tally = Tally(
        cold=[a_count(5, 3, 12)], warm=[a_count(6, 3, 12)], jobs=[a_count(7, 0, 12)], again=[a_count(7, 0, 12)],
        resync=0, idle=0.5,
    )  # fmt: skip
    judged = {row["name"]: row["ok"] for row in (row_of(each, "") for each in writes_of(tally))}

    assert judged == {
        "api-writes/cold": True,
        "api-writes/cold-events": True,
        "api-writes/cold-by-everybody": True,
        "api-writes/warm": False,
        "api-writes/warm-events": True,
        "api-writes/warm-by-everybody": True,
        "api-writes/resync": True,
        "api-writes/idle": True,
    }


def test_the_peers_pool_has_the_same_pods_doing_nothing() -> None:
    spec = {"nodeName": "n", "activeDeadlineSeconds": 9, "serviceAccount": "a", "containers": [{"image": "i"}]}
    pod = sleeping(spec_of({"spec": spec}))

    assert pod["containers"][0]["image"] == "i"
    assert "while True" in pod["containers"][0]["command"][-1]
    assert not {"nodeName", "activeDeadlineSeconds", "serviceAccount"} & pod.keys()


def test_a_rivals_pod_is_its_works() -> None:
    thing = work("one", "bench")
    thing["metadata"]["uid"] = "u"

    assert pod_of(thing)["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert agent_sandbox.is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    assert not agent_sandbox.is_ready({})
