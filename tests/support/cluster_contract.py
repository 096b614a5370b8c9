"""What every Cluster must do: the real apiserver's adapter and the fake pass the same tests.

A subclass gives `port`, speaking as the controller, and `seed`, which stores an object as a user and returns it.
The namespace is `home`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from tests.support.objects import an_agent

from remit.api.names import LABEL_MANAGED_BY
from remit.ports import Cluster, ClusterError

Object = dict[str, Any]
Seed = Callable[[Object], Awaitable[Object]]
ACCOUNT = ("v1", "ServiceAccount")
AGENT = ("remit.dev/v1alpha1", "Agent")
MANAGER = "remit-controller"


def an_account(home: str, name: str, **labels: str) -> Object:
    metadata = {"name": name, "namespace": home, "labels": {LABEL_MANAGED_BY: "remit", **labels}}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}


def an_agent_in(home: str, name: str) -> Object:
    agent = an_agent(name)
    agent["metadata"]["namespace"] = home
    return agent


def a_status(agent: Object, *conditions: Object, **fields: Any) -> Object:
    metadata = {key: agent["metadata"][key] for key in ("name", "namespace")}
    return {**{key: agent[key] for key in ("apiVersion", "kind")}, "metadata": metadata, "status": {
        "observedGeneration": 1, "conditions": list(conditions), **fields}}  # fmt: skip


def a_condition(kind: str, status: str = "True") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": "Ready",
        "message": "m",
        "lastTransitionTime": "2026-11-21T12:00:00Z",
        "observedGeneration": 1,
    }


class ClusterContract:
    """The suite."""

    async def test_what_is_absent_is_none(self, port: Cluster, home: str) -> None:
        assert await port.get(*ACCOUNT, home, "nobody") is None

    async def test_apply_makes_and_returns_what_is_stored(self, port: Cluster, home: str) -> None:
        made = await port.apply(an_account(home, "remit-agent-made"), MANAGER)

        assert made["metadata"]["uid"]
        assert made["kind"] == "ServiceAccount"
        assert await port.get(*ACCOUNT, home, "remit-agent-made") == made

    async def test_applying_the_same_again_changes_nothing(self, port: Cluster, home: str) -> None:
        first = await port.apply(an_account(home, "remit-agent-same"), MANAGER)
        second = await port.apply(an_account(home, "remit-agent-same"), MANAGER)

        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    async def test_what_is_no_longer_applied_goes(self, port: Cluster, home: str) -> None:
        await port.apply(an_account(home, "remit-agent-less", extra="1"), MANAGER)
        less = await port.apply(an_account(home, "remit-agent-less"), MANAGER)

        assert less["metadata"]["labels"] == {LABEL_MANAGED_BY: "remit"}

    async def test_creating_what_exists_returns_what_exists(self, port: Cluster, home: str) -> None:
        first = await port.create(an_account(home, "remit-agent-twice", a="1"), MANAGER)
        second = await port.create(an_account(home, "remit-agent-twice", a="2"), MANAGER)

        assert second["metadata"]["uid"] == first["metadata"]["uid"]
        assert second["metadata"]["labels"]["a"] == "1"

    async def test_a_patch_merges_takes_away_and_replaces_lists(self, port: Cluster, home: str) -> None:
        made = await port.create(an_account(home, "remit-agent-patched", a="1", b="2"), MANAGER)
        metadata = {"name": "remit-agent-patched", "namespace": home, "labels": {"a": None, "c": "3"}}
        await port.patch(*ACCOUNT, {"metadata": metadata}, MANAGER)

        now = await port.get(*ACCOUNT, home, "remit-agent-patched")

        assert now is not None
        assert now["metadata"]["labels"] == {LABEL_MANAGED_BY: "remit", "b": "2", "c": "3"}
        assert now["metadata"]["uid"] == made["metadata"]["uid"]

    @pytest.mark.parametrize("field", ["resourceVersion", "uid"])
    async def test_a_patch_for_another_state_is_a_conflict(self, port: Cluster, home: str, field: str) -> None:
        name = f"remit-agent-raced-{field.lower()}"
        await port.create(an_account(home, name), MANAGER)
        first = {"metadata": {"name": name, "namespace": home, "labels": {"first": "yes"}}}
        await port.patch(*ACCOUNT, first, MANAGER)
        late = {"metadata": {"name": name, "namespace": home, "labels": {"late": "yes"}, field: "1"}}
        with pytest.raises(ClusterError) as refused:
            await port.patch(*ACCOUNT, late, MANAGER)

        # a UID is immutable to some kinds, a precondition to others
        assert refused.value.code in ({409} if field == "resourceVersion" else {409, 422})

    async def test_what_is_not_there_cannot_be_patched(self, port: Cluster, home: str) -> None:
        with pytest.raises(ClusterError) as refused:
            await port.patch(*ACCOUNT, {"metadata": {"name": "absent", "namespace": home}}, MANAGER)

        assert refused.value.code == 404

    async def test_only_the_object_of_that_uid_is_deleted(self, port: Cluster, home: str) -> None:
        made = await port.create(an_account(home, "remit-agent-kept"), MANAGER)
        await port.delete(*ACCOUNT, home, "remit-agent-kept", "another")
        assert await port.get(*ACCOUNT, home, "remit-agent-kept") is not None

        await port.delete(*ACCOUNT, home, "remit-agent-kept", made["metadata"]["uid"])
        await port.delete(*ACCOUNT, home, "remit-agent-kept", made["metadata"]["uid"])

        assert await port.get(*ACCOUNT, home, "remit-agent-kept") is None

    async def test_lists_choose_by_label(self, port: Cluster, home: str) -> None:
        await port.create(an_account(home, "remit-agent-chosen", pick="yes"), MANAGER)
        await port.create(an_account(home, "remit-agent-left", pick="no"), MANAGER)

        chosen = await port.list(*ACCOUNT, home, "pick=yes")

        assert [thing["metadata"]["name"] for thing in chosen] == ["remit-agent-chosen"]
        assert chosen[0]["kind"] == "ServiceAccount"

    async def test_two_writers_of_a_status_leave_each_others_fields(self, port: Cluster, seed: Seed, home: str) -> None:
        agent = await seed(an_agent_in(home, "shared"))
        await port.apply_status(a_status(agent, a_condition("Ready"), activeRuns=1), MANAGER)
        revision = {"name": "r", "digest": "sha256:" + "0" * 64}
        await port.apply_status(a_status(agent, a_condition("Other"), revision=revision), "other")
        last = await port.apply_status(a_status(agent, a_condition("Ready", "False")), MANAGER)

        assert {entry["type"]: entry["status"] for entry in last["status"]["conditions"]} == {
            "Ready": "False",
            "Other": "True",
        }
        assert last["status"]["revision"] == revision
        assert not last["status"].get("activeRuns")  # the CRD may say 0
        assert last["spec"] == agent["spec"]

    async def test_a_status_decided_on_an_older_state_is_refused(self, port: Cluster, seed: Seed, home: str) -> None:
        agent = await seed(an_agent_in(home, "successor"))
        await port.apply_status(a_status(agent, a_condition("Ready")), MANAGER)
        late = a_status(agent, a_condition("Ready", "False"))
        late["metadata"]["resourceVersion"] = agent["metadata"]["resourceVersion"]
        with pytest.raises(ClusterError) as refused:
            await port.apply_status(late, MANAGER)

        assert refused.value.code == 409

    async def test_a_status_of_what_is_not_there_is_refused(self, port: Cluster, home: str) -> None:
        absent = an_agent_in(home, "absent")
        with pytest.raises(ClusterError) as refused:
            await port.apply_status(a_status(absent, a_condition("Ready")), MANAGER)

        assert refused.value.code in {404, 409}
        assert "absent" not in {thing["metadata"]["name"] for thing in await port.list(*AGENT, home)}

    async def test_a_pod_needs_its_account(self, port: Cluster, home: str) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "orphan", "namespace": home},
            "spec": {"serviceAccountName": "nobody", "containers": [{"name": "c", "image": "i:1"}]},
        }
        with pytest.raises(ClusterError) as refused:
            await port.create(pod, MANAGER)

        assert (refused.value.code, refused.value.reason) == (403, "Forbidden")

    async def test_a_watch_lists_says_so_and_goes_on(self, port: Cluster, home: str) -> None:
        await port.create(an_account(home, "remit-agent-before", seen=home), MANAGER)
        async with asyncio.timeout(20), aclosing(_stream(port, f"seen={home}")) as events:
            kinds = [await anext(events), await anext(events)]
            assert [change for change, _ in kinds] == ["ADDED", "SYNCED"]
            made = await port.create(an_account(home, "remit-agent-after", seen=home), MANAGER)
            change, thing = await _next_change(events)
            assert (change, thing["metadata"]["uid"]) == ("ADDED", made["metadata"]["uid"])
            await port.delete(*ACCOUNT, home, "remit-agent-after", made["metadata"]["uid"])
            change, thing = await _next_change(events)
            assert (change, thing["metadata"]["name"]) == ("DELETED", "remit-agent-after")


async def _stream(port: Cluster, selector: str) -> AsyncGenerator[tuple[str, Object], None]:
    async for change in port.watch(*ACCOUNT, selector):
        yield change


async def _next_change(events: AsyncIterator[tuple[str, Object]]) -> tuple[str, Object]:
    while True:
        change, thing = await anext(events)
        if change != "BOOKMARK":
            return change, thing
