"""Who may come in: only who has the key; and the bank's faults exist only where they are allowed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.dataplane.bank.servers import BANK_KEY, EXAMPLE, Bank, Claim, raw_call, start_bank


@pytest.fixture(scope="module")
def strict_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("strict")
    (folder / "key").write_text(f"{BANK_KEY}\n", "utf-8")
    server = start_bank(folder / "bank.db", "--key-file", str(folder / "key"))
    yield Bank(server, folder / "bank.db")
    server.kill()


@pytest.mark.parametrize("given", [None, "", "wrong", BANK_KEY[:-1], f"{BANK_KEY}x"])
def test_without_the_key_nothing_is_answered(bank: Bank, given: str | None) -> None:
    body, headers = raw_call("get_account", {"account": "ACC-4711"})
    del headers["X-Bank-Key"]
    answer = httpx2.post(
        f"{bank.server.origin}/mcp", json=body, headers={**headers, **({"X-Bank-Key": given} if given else {})}
    )
    assert (answer.status_code, "Maren" in answer.text) == (401, False)


def test_two_keys_are_no_key(bank: Bank) -> None:
    body, headers = raw_call("get_account", {"account": "ACC-4711"})
    twice = [*headers.items(), ("X-Bank-Key", "other")]
    assert httpx2.post(f"{bank.server.origin}/mcp", json=body, headers=twice).status_code == 401


def test_health_needs_no_key(bank: Bank) -> None:
    assert httpx2.get(f"{bank.server.origin}/healthz").status_code == 200


def test_a_bank_without_a_key_does_not_start(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE), "BANK_KEY": " "}
    command = [sys.executable, "-m", "bank", "serve", "--db", str(tmp_path / "bank.db")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert (ended.returncode, "no API key" in ended.stderr) == (2, True)


def test_faults_are_ignored_where_they_are_not_allowed(strict_bank: Bank) -> None:
    body, headers = raw_call("get_account", {"account": "ACC-4711"})
    answer = httpx2.post(f"{strict_bank.server.origin}/mcp", json=body, headers={**headers, "X-Bank-Fault": "garbage"})
    assert answer.json()["result"]["structuredContent"]["account"] == "ACC-4711"


def test_the_plan_of_faults_is_not_there_where_it_is_not_allowed(strict_bank: Bank) -> None:
    headers = {"X-Bank-Key": BANK_KEY}
    answer = httpx2.put(f"{strict_bank.server.origin}/faults", content=b"[]", headers=headers)
    assert answer.status_code == 404


def test_a_body_beyond_the_bound_is_refused(bank: Bank, claim: Claim) -> None:
    body, headers = raw_call("open_dispute", {**claim.opening, "note": "x" * 300_000})
    assert httpx2.post(f"{bank.server.origin}/mcp", json=body, headers=headers).status_code == 413
