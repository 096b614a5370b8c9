"""Who calls: tokens, pods and runs, and everything that is not believed."""

import asyncio
import json
from typing import Any

import pytest
from tests.support.fake_authority import POD_UID, a_pod, a_review, a_run
from tests.support.gateway_process import SECRET, Served, reason_of
from tests.support.governed import CHAT, a_chat, governed
from tests.support.polling import eventually_async

from remit.gateway.settings import Settings


async def code(world: Served, **headers: str) -> tuple[int, str]:
    status, answer, _ = await world.call_raw("look", {}, "c1", **headers)
    error = answer.get("error", {})
    return status, error.get("reason", "") or reason_of(answer)


async def test_no_token_is_not_enough() -> None:
    async with governed() as (world, bank):
        assert await code(world, Authorization="") == (401, "Unauthenticated")
        assert await code(world, Authorization="Basic good-token") == (401, "Unauthenticated")
        assert await code(world, Authorization="Bearer " + "x" * 20_000) == (401, "Unauthenticated")
        assert not bank.calls
        with pytest.raises(LookupError):
            await _export(world)


async def _export(world: Served) -> None:
    if not (await world.ledger.export("run-uid-1")).entries:
        raise LookupError("nothing is recorded")


@pytest.mark.parametrize(
    "review",
    [
        {"authenticated": False},
        a_review(audience="kubernetes"),
        {**a_review(), "audiences": []},
        {**a_review(), "user": {"username": "ada", "extra": a_review()["user"]["extra"]}},
        {**a_review(), "user": {"username": a_review()["user"]["username"]}},
    ],
    ids=["expired", "another audience", "no audience", "a person", "not bound to a pod"],
)
async def test_a_token_that_is_not_a_pods_for_us_is_refused(review: Any) -> None:
    async with governed() as (world, _):
        world.cluster.tokens["other"] = review
        assert await code(world, Authorization="Bearer other") == (401, "Unauthenticated")


async def test_a_token_stolen_by_another_pod_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.2)
    async with governed() as (world, _):
        world.cluster.put(a_pod("10.9.9.9"))
        await eventually_async(lambda: code(world), lambda seen: seen == (401, "Unauthenticated"))


async def test_where_the_network_hides_addresses_the_check_may_be_off() -> None:
    async with governed(settings=Settings(check_peer=False)) as (world, _):
        world.cluster.put(a_pod("10.9.9.9"))
        assert await code(world) == (200, "")


async def test_the_token_of_a_deleted_pod_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.2)
    async with governed() as (world, _):
        assert await code(world) == (200, "")
        world.cluster.remove("Pod", "run-1-1")
        del world.cluster.tokens["good-token"]
        await eventually_async(lambda: code(world), lambda seen: seen == (401, "Unauthenticated"))


async def test_a_pod_that_is_being_deleted_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.2)
    async with governed() as (world, _):
        pod = world.cluster.named("Pod", "run-1-1")
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        world.cluster.put(pod)
        await eventually_async(lambda: code(world), lambda seen: seen == (401, "Unauthenticated"))


@pytest.mark.parametrize(
    "spec",
    [
        {"hostNetwork": True},
        {"hostPID": True},
        {"shareProcessNamespace": True},
        {"ephemeralContainers": [{"name": "debug"}]},
        {"serviceAccountName": "default"},
        {"containers": [{"name": "agent", "securityContext": {"privileged": True}}]},
    ],
    ids=lambda spec: next(iter(spec)),
)
async def test_a_pod_that_is_no_sandbox_is_not_served_nor_one_that_is_none_any_more(spec: dict[str, Any]) -> None:
    async with governed() as (world, _):
        assert await code(world) == (200, "")
        world.cluster.put({**world.cluster.named("Pod", "run-1-1"), "spec": spec})
        await eventually_async(lambda: code(world), lambda seen: seen == (401, "RunNotFound"))


async def test_a_run_that_names_another_pod_is_not_this_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.gateway.callers.WAIT_FOR_WATCH_SECONDS", 0.2)
    async with governed() as (world, _):
        world.cluster.set_status("AgentRun", "run-1", pod={"name": "run-1-2", "uid": "pod-uid-2"})
        await eventually_async(lambda: code(world), lambda seen: seen == (401, "RunNotFound"))


async def test_headers_and_labels_that_name_a_run_are_not_believed() -> None:
    async with governed() as (world, _):
        other = a_run()
        other["metadata"] |= {"name": "run-2", "uid": "run-uid-2"}
        other["status"]["pod"] = {"name": "run-2-1", "uid": "pod-uid-2"}
        world.cluster.put(other)
        forged = {"X-Remit-Run": "run-2", "Remit-Run": "run-uid-2", "X-Forwarded-For": "10.0.0.1"}
        await world.call("look", {}, "c1", **forged)
        assert {entry["predicate"]["run"]["uid"] for entry in await world.entries()} == {"run-uid-1"}


async def test_a_run_that_the_watch_brings_late_is_waited_for() -> None:
    async with governed() as (world, _):
        run = world.cluster.named("AgentRun", "run-1")
        world.cluster.set_status("AgentRun", "run-1", pod=None)
        await eventually_async(lambda: _runs_pod(world), lambda seen: not seen)
        asking = asyncio.ensure_future(code(world))
        world.cluster.put(run | {"status": run["status"]})
        assert await asking == (200, "")


async def _runs_pod(world: Served) -> bool:
    assert world.gateway is not None
    return world.gateway.gate.authority.store.run_of_pod(POD_UID) is not None


@pytest.mark.parametrize("reason", ["Pending", "Succeeded", "Cancelled", "Denied"])
async def test_a_run_that_is_neither_starting_nor_running_is_refused_by_name(reason: str) -> None:
    async with governed() as (world, bank):
        world.cluster.set_status("AgentRun", "run-1", reason=reason)
        status, _ = await eventually_async(lambda: code(world), lambda seen: seen[1] == "RunNotActive")
        assert status == 403
        assert not bank.calls


async def test_reviews_are_asked_once_while_they_are_fresh() -> None:
    async with governed() as (world, _):
        for _ in range(5):
            await world.call("look", {})
        assert world.cluster.reviews == 1


async def test_while_nobody_can_review_tokens_calls_are_asked_to_wait() -> None:
    async with governed() as (world, _):
        world.cluster.away = True
        status, answer, headers = await world.call_raw("look", {}, "c1")
        assert (status, answer["error"]["reason"], headers["Retry-After"]) == (503, "AuthorityStale", "2")


async def test_no_revision_no_call() -> None:
    async with governed() as (world, bank):
        world.cluster.set_status("AgentRun", "run-1", revision={"name": "gone", "digest": "sha256:" + "0" * 64})
        status, reason = await eventually_async(lambda: code(world), lambda seen: seen[1] == "BundleMissing")
        assert (status, reason) == (403, "BundleMissing")
        assert not bank.calls


async def test_a_revision_that_was_tampered_with_is_no_bundle() -> None:
    async with governed() as (world, _):
        name = world.cluster.status_of("AgentRun", "run-1")["revision"]["name"]
        revision = world.cluster.named("ControllerRevision", name)
        revision["data"]["agent"]["spec"]["owner"] = "mallory"
        world.cluster.put(revision)
        await eventually_async(lambda: code(world), lambda seen: seen[1] == "BundleMissing")


HOSTILE = {
    "a body of 10 MB": (b'{"a": "' + b"x" * 10_000_000 + b'"}', 413, "TooLarge"),
    "deep JSON": (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "Malformed"),
    "no UTF-8": (b'{"a": "\xff"}', 400, "Malformed"),
    "half of a body": (b'{"jsonrpc": "2.0", "id": 1, "met', 400, "Malformed"),
    "a batch": (b"[]", 400, "Malformed"),
    "NaN": (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"x": NaN}}', 400, "Malformed"),
    "nothing": (b"", 400, "Malformed"),
}


@pytest.mark.parametrize(("body", "status", "reason"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("path", ["/mcp", CHAT, "/run/v1/result"])
async def test_a_hostile_body_gets_a_clear_error(path: str, body: bytes, status: int, reason: str) -> None:
    async with governed() as (world, bank):
        seen, _, headers = await world.post(path, body)
        assert (seen, headers["Remit-Reason"]) == (status, reason)
        assert not bank.calls
        assert (await world.call("look", {}))["result"]


async def test_a_truncated_body_is_not_acted_on() -> None:
    async with governed() as (world, bank):
        host, port = world.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = "POST /mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good-token\r\nContent-Length: 500\r\n\r\n"
        writer.write(head.encode() + b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"')
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()
        assert not bank.calls
        assert (await world.call("look", {}))["result"]


async def test_unknown_paths_and_methods_are_refused() -> None:
    async with governed() as (world, _):
        assert (await world.post("/nothing", {}))[0] == 404
        assert (await world.get("/mcp"))[0] == 405
        assert (await world.get("/control/v1/key"))[0] == 404


async def test_headers_that_differ_from_the_body_are_refused() -> None:
    async with governed() as (world, bank):
        status, answer, _ = await world.call_raw("credit", {"amount": 5}, **{"Mcp-Name": "look"})
        assert (status, answer["error"]["data"]["reason"]) == (400, "HeaderMismatch")
        assert not bank.calls


SECRETS: dict[str, tuple[Any, str, str]] = {
    "another host": ("bank.example:443", "HostNotAllowed", "kubectl -n bank annotate secret bank-key"),
    "no host at all": ("", "HostNotAllowed", "does not name the host 127.0.0.1"),
}


@pytest.mark.parametrize(("hosts", "reason", "hint"), SECRETS.values(), ids=SECRETS)
async def test_a_secret_goes_only_where_it_says(hosts: str, reason: str, hint: str) -> None:
    async with governed(hosts=hosts) as (world, bank):
        answer = await world.call("credit", {"amount": 5}, "c1")
        assert reason_of(answer) == reason
        assert hint in json.loads(answer["result"]["content"][0]["text"])["error"]["message"]
        assert not bank.calls
        outcome = (await world.entries())[-1]["predicate"]
        assert (outcome["status"], outcome["spent"]["toolCalls"]) == ("error", 0)

        async def enforced() -> Any:
            return world.cluster.status_of("ToolGrant", "bank").get("enforced", {})

        told = await eventually_async(enforced, lambda seen: seen.get("reason") == reason)
        assert SECRET not in json.dumps(told)


async def test_a_secret_that_may_not_be_read_says_what_to_apply() -> None:
    async with governed() as (world, bank):
        world.cluster.unreadable.add("bank-key")
        assert world.gateway is not None
        world.gateway.gate.secrets._kept.clear()  # type: ignore[attr-defined]
        answer = await world.call("credit", {"amount": 5}, "c1")
        assert reason_of(answer) == "SecretNotReadable"
        assert "--resource-name=bank-key" in answer["result"]["content"][0]["text"]
        assert not bank.calls


async def test_a_model_call_hears_about_its_token_in_its_own_form() -> None:
    async with governed() as (world, _):
        status, answer, _ = await world.post(CHAT, a_chat(), Authorization="Bearer nobody")
        assert (status, answer["error"]["code"]) == (401, "Unauthenticated")


@pytest.mark.parametrize(
    ("data", "reason"),
    [({"other": "YQ=="}, "SecretKeyMissing"), ({"key": "YQpi"}, "SecretKeyMissing"), (None, "SecretNotReadable")],
    ids=["another key", "two lines", "no Secret"],
)
async def test_a_secret_that_cannot_be_used_is_named(data: dict[str, str] | None, reason: str) -> None:
    async with governed() as (world, bank):
        secret = world.cluster.named("Secret", "bank-key")
        if data is None:
            world.cluster.remove("Secret", "bank-key")
        else:
            world.cluster.put(secret | {"data": data})
        assert world.gateway is not None
        world.gateway.gate.secrets._kept.clear()  # type: ignore[attr-defined]
        answer = await world.call("credit", {"amount": 5}, "c1")
        assert reason_of(answer) == reason
        assert "Secret bank/bank-key" in answer["result"]["content"][0]["text"]
        assert not bank.calls

        async def enforced() -> Any:
            return world.cluster.status_of("ToolGrant", "bank")["enforced"]["reason"]

        await eventually_async(enforced, lambda seen: seen == reason)
