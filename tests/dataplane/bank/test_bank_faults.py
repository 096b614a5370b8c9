"""The faults that tests of a gateway order from the bank: each does what it says, effect included."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.dataplane.bank.servers import BANK_KEY, LEGACY, Bank, Claim, raw_call


def attempt(bank: Bank, claim: Claim, fault: str | None, timeout: float = 10) -> httpx2.Response:
    body, headers = raw_call("open_dispute", claim.opening)
    ordered = {**headers, **({"X-Bank-Fault": fault} if fault else {})}
    return httpx2.post(f"{bank.server.origin}/mcp", json=body, headers=ordered, timeout=timeout)


def effects(bank: Bank, claim: Claim) -> int:
    return len(bank.contents(claim.account)["disputes"])


@pytest.fixture
def planned(bank: Bank) -> Iterator[Any]:
    def plan(*faults: dict[str, Any]) -> httpx2.Response:
        headers = {"X-Bank-Key": BANK_KEY}
        return httpx2.put(f"{bank.server.origin}/faults", json=list(faults), headers=headers)

    yield plan
    plan()


def test_a_dropped_answer_leaves_its_effect(bank: Bank, claim: Claim) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        attempt(bank, claim, "drop")
    assert effects(bank, claim) == 1


def test_a_late_answer_leaves_its_effect(bank: Bank, claim: Claim) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        attempt(bank, claim, "delay-after:5", timeout=0.3)
    assert effects(bank, claim) == 1


def test_a_delay_is_before_the_effect(bank: Bank, claim: Claim) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        attempt(bank, claim, "delay:30", timeout=0.3)
    assert effects(bank, claim) == 0


def test_garbage_is_no_json_and_has_its_effect(bank: Bank, claim: Claim) -> None:
    answer = attempt(bank, claim, "garbage")
    with pytest.raises(ValueError, match="Expecting"):
        answer.json()
    assert effects(bank, claim) == 1


def test_a_redirect_points_elsewhere_and_has_no_effect(bank: Bank, claim: Claim) -> None:
    answer = attempt(bank, claim, "redirect:http://elsewhere.example/take")
    assert (answer.status_code, answer.headers["location"]) == (307, "http://elsewhere.example/take")
    assert effects(bank, claim) == 0


def test_unavailable_has_no_effect(bank: Bank, claim: Claim) -> None:
    assert attempt(bank, claim, "unavailable").status_code == 503
    assert effects(bank, claim) == 0


def test_the_secret_is_echoed(bank: Bank, claim: Claim) -> None:
    answer = attempt(bank, claim, "echo-secret").json()["result"]
    assert BANK_KEY in answer["content"][0]["text"]
    assert effects(bank, claim) == 1


def test_an_unknown_fault_is_an_error(bank: Bank, claim: Claim) -> None:
    assert "X-Bank-Fault".lower() in attempt(bank, claim, "meteor").text
    assert effects(bank, claim) == 0


def test_a_planned_fault_happens_as_often_as_planned(bank: Bank, claim: Claim, planned: Any) -> None:
    planned({"kind": "unavailable", "tool": "open_dispute", "times": 2})
    assert [attempt(bank, claim, None).status_code for _ in range(3)] == [503, 503, 200]


async def test_a_planned_fault_strikes_its_tool_only_in_either_era(bank: Bank, claim: Claim, planned: Any) -> None:
    planned({"kind": "echo-secret", "tool": "open_dispute"})
    async with bank.client(LEGACY) as client:
        account = await client.call_tool("get_account", {"account": claim.account})
        opened = await client.call_tool("open_dispute", claim.opening)
    assert ("debug" in account.structured_content, "debug" in opened.structured_content) == (False, True)


@pytest.mark.parametrize("wrong", [{"kind": "meteor"}, {}, {"kind": "delay", "seconds": -1}, {"kind": "drop", "x": 1}])
def test_a_wrong_plan_is_refused(planned: Any, wrong: dict[str, Any]) -> None:
    assert planned(wrong).status_code == 400
