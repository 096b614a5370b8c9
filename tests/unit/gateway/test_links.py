"""Small decisions around the chain: secrets, hosts, settings, callers, flights."""

import asyncio
from typing import Any

import pytest
from tests.support.fake_authority import a_pod, a_run, an_agent

from remit.api.reasons import CallReason
from remit.core.digest import canonical
from remit.gateway.call import Call, Refused
from remit.gateway.callers import addresses_of, epoch
from remit.gateway.credentials import header_text, host_of, may_go_to
from remit.gateway.flights import CutError, cut, interruptible
from remit.gateway.links_upstream import suspected
from remit.gateway.memory import Remembered, asked_bytes, asked_in
from remit.gateway.settings import Settings, SettingsError, from_environment
from remit.gateway.status import shown_content
from remit.gateway.store import AGENT, NAMESPACE, POD, RUN, Store
from remit.gateway.web import Request

SECRET = "abc/def+Q7"


@pytest.mark.parametrize(
    ("hosts", "target", "may"),
    [
        ("bank.example", "bank.example:443", True),
        ("bank.example:443", "bank.example:443", True),
        ("other.example, bank.example", "bank.example:8080", True),
        ("BANK.example", "bank.example:443", True),
        ("bank.example:8080", "bank.example:443", False),
        ("", "bank.example:443", False),
        ("bank", "bank.example:443", False),
        ("*", "bank.example:443", False),
    ],
)
def test_a_secret_goes_to_the_hosts_that_it_names(hosts: str, target: str, may: bool) -> None:  # noqa: FBT001
    assert may_go_to(hosts, target) is may


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://bank.example/mcp", "bank.example:443"),
        ("http://bank.example/mcp", "bank.example:80"),
        ("http://10.0.0.1:9000", "10.0.0.1:9000"),
    ],
)
def test_a_host_has_its_port(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"key\n", "key"),
        (b"key", "key"),
        (b"", None),
        (None, None),
        (b"two\nlines", None),
        (b"\xff", None),
        (b'a"b', None),
        (b"x" * 9000, None),
    ],
)
def test_a_secret_must_fit_a_header(content: bytes | None, text: str | None) -> None:
    assert header_text(content) == text


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"text": "nothing"}', ()),
        (b'{"text": "a \\"quoted\\" line\\n"}', ()),
        (b'{"text": "abc/def+Q7"}', (SECRET,)),
        (b'{"text": "abc\\/def+Q7"}', (SECRET,)),
        (b'{"text": "\\u0061bc/def+Q7"}', (SECRET,)),
        (b'{"text": "YWJjL2RlZitRNw=="}', (SECRET,)),
        (b'{"text": "\xff\\\\"}', (SECRET,)),
    ],
)
def test_only_a_body_that_may_hold_a_secret_is_searched(body: bytes, found: tuple[str, ...]) -> None:
    assert suspected(body, (SECRET,)) == found


def test_settings_have_defaults() -> None:
    assert from_environment({}) == Settings()


def test_settings_come_from_the_environment() -> None:
    found = from_environment({"REMIT_CHECK_PEER": "false", "REMIT_AGENT_PORT": "1", "REMIT_NAMESPACE": "x"})
    assert (found.check_peer, found.agent_port, found.install_namespace) == (False, 1, "x")


@pytest.mark.parametrize("wrong", [{"REMIT_CHECK_PEER": "no"}, {"REMIT_AGENT_PORT": "http"}])
def test_a_wrong_setting_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        from_environment(wrong)


def a_call(**more: Any) -> Call:
    return Call("tool", "token-text", "10.0.0.1", "look", {"a": 1}, "00", **more)


def test_a_call_shows_neither_token_nor_secret_nor_arguments() -> None:
    shown = repr(a_call(credentials={"X": SECRET}, secrets=(SECRET,)))
    assert SECRET not in shown
    assert "token-text" not in shown
    assert "'a': 1" not in shown


async def test_a_call_that_was_cut_before_does_not_go_out() -> None:
    call = a_call()
    cut(call, Refused(CallReason.REVOKED, "gone"))
    with pytest.raises(CutError) as caught, interruptible(call):
        raise AssertionError("it went out")
    assert caught.value.sent is False


async def test_a_call_that_is_cut_under_way_is_interrupted() -> None:
    call = a_call()

    async def go() -> bool:
        try:
            with interruptible(call):
                await asyncio.Event().wait()
        except CutError as error:
            return error.sent
        return False

    going = asyncio.ensure_future(go())
    await asyncio.wait([going], timeout=0)
    cut(call, Refused(CallReason.REVOKED, "gone"))
    assert await going is True


async def test_a_task_that_is_cancelled_from_outside_is_not_taken_for_a_cut() -> None:
    call = a_call()

    async def go() -> None:
        with interruptible(call):
            await asyncio.Event().wait()

    going = asyncio.ensure_future(go())
    await asyncio.wait([going], timeout=0)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going


def test_what_a_model_asked_for_survives_the_ledger() -> None:
    calls = (("credit", "00ff", "call_1"),)
    assert asked_in(asked_bytes(calls)) == calls
    assert asked_bytes(()) == b""


def test_the_oldest_of_what_a_model_asked_for_makes_room() -> None:
    remembered = Remembered()
    remembered.note_asked(tuple(("t", str(number), f"c{number}") for number in range(300)))
    assert len(remembered.asked) == 256
    assert ("t", "0") not in remembered.asked


def test_a_write_belongs_to_the_first_that_claims_it_until_it_is_released() -> None:
    remembered = Remembered()
    what = ("g", "t", "00")
    assert remembered.claim_write(what, "c1") == "c1"
    assert remembered.claim_write(what, "c2") == "c1"
    remembered.release_write(what, "c2")
    assert remembered.claim_write(what, "c2") == "c1"
    remembered.release_write(what, "c1")
    assert remembered.claim_write(what, "c2") == "c2"


def test_a_small_result_is_shown_and_a_large_one_by_digest() -> None:
    assert shown_content(canonical({"a": 1})) == {"a": 1}
    assert shown_content(canonical({"a": "x" * 20_000}))["bytes"] == 20_008


def test_a_pod_that_is_being_deleted_has_no_address() -> None:
    pod = a_pod("10.0.0.1")
    assert addresses_of(pod) == {"10.0.0.1"}
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert addresses_of(pod) == frozenset()


def test_no_moment_is_the_beginning_of_time() -> None:
    assert epoch("") == 0.0
    assert epoch("1970-01-01T00:01:00Z") == 60.0


def versioned(stored: Any, generation: int = 1) -> Any:
    stored["metadata"] |= {"uid": "u1", "generation": generation}
    return stored


def test_a_status_alone_changes_no_rule() -> None:
    store = Store()
    store.put(AGENT, versioned(an_agent()))
    before = store.version("bank")
    store.put(AGENT, versioned(an_agent()) | {"status": {"reason": "Ready"}})
    assert store.version("bank") == before
    store.put(AGENT, versioned(an_agent(lifecycle="Suspended"), 2))
    assert store.version("bank") > before


def test_a_namespaces_labels_change_its_rules() -> None:
    store = Store()
    store.put(NAMESPACE, {"metadata": {"name": "bank", "labels": {"tier": "gold"}}})
    assert store.version("bank") == 1


def test_a_run_is_found_by_the_pod_that_its_status_names_only() -> None:
    store = Store()
    store.put(RUN, a_run())
    assert store.run_of_pod("pod-uid-1") is not None
    other = a_run()
    other["status"]["pod"]["uid"] = "pod-uid-2"
    store.put(RUN, other)
    assert store.run_of_pod("pod-uid-1") is None
    assert store.run_of_pod("pod-uid-2") is not None
    store.drop(RUN, ("bank", "run-1"))
    assert store.run_of_pod("pod-uid-2") is None


def test_a_pod_of_the_same_name_replaces_the_one_before() -> None:
    store = Store()
    store.put(POD, a_pod(uid="one"))
    store.put(POD, a_pod(uid="two"))
    assert store.pod("one") is None
    assert store.pod("two") is not None


def a_request(*headers: tuple[bytes, bytes]) -> Request:
    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is read")

    scope = {"method": "POST", "path": "/mcp", "client": ("10.0.0.1", 1), "headers": list(headers)}
    return Request(scope, nothing, nothing)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([(b"authorization", b"Bearer abc")], "abc"),
        ([(b"authorization", b"bearer  abc ")], "abc"),
        ([(b"authorization", b"Basic abc")], ""),
        ([], ""),
        ([(b"authorization", b"Bearer abc"), (b"authorization", b"Bearer def")], ""),
    ],
)
def test_a_token_is_read_from_one_header_only(headers: list[tuple[bytes, bytes]], token: str) -> None:
    assert a_request(*headers).bearer() == token
