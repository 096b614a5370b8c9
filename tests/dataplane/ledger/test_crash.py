"""kill -9 at the ledger's crash points: what was acknowledged is there, what was not is there whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.memory_ledger import signer_for_tests
from tests.support.polling import eventually

from remit.adapters.sqlite_ledger import SqliteLedger
from remit.ports import LedgerUnavailableError

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("crashing_writer.py")
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}


def writer(path: Path, count: int, crash: str = "") -> subprocess.Popen[str]:
    environment = ENVIRONMENT | ({"REMIT_CRASH_AT": crash} if crash else {})
    command = [sys.executable, str(SCRIPT), str(path), str(count)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def written(path: Path) -> int:
    """Read how many works are there, all parts of each."""
    ledger = await SqliteLedger.open(path, signer_for_tests())
    run, calls = await ledger.read(lambda transaction: (transaction.run("run-1"), transaction.calls("run-1")))
    export = await ledger.export("run-1")
    await ledger.close()
    count = len(export.entries)
    assert [entry.body for entry in export.entries] == [b'{"number":%d}' % number for number in range(count)]
    assert (run.account.spent.tokens if run else 0, len(calls)) == (count, count)
    return count


# The first commit is that of opening the file; the first work is the second.
@pytest.mark.parametrize("number", [1, 2, 3, 9])
@pytest.mark.parametrize(("point", "more"), [("before-commit", 0), ("after-commit", 1)])
async def test_a_kill_around_the_commit_loses_nothing_acknowledged(
    tmp_path: Path, point: str, more: int, number: int
) -> None:
    path = tmp_path / "ledger.db"
    with writer(path, 20, f"{point}:{number}") as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    acknowledged = len([line for line in output.split() if line != "open"])
    assert acknowledged == max(0, number - 2)
    assert await written(path) == acknowledged + (more if number > 1 else 0)


async def test_a_kill_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    seen = 0
    for lines in (2, 5, 17, 40):
        with writer(path, 100_000) as process:
            assert process.stdout is not None
            acknowledged = [process.stdout.readline().strip() for _ in range(lines)]
            process.kill()
            acknowledged += process.stdout.read().split()
        last = int(acknowledged[-1])
        assert last >= seen
        seen = await written(path)
        assert seen > last


async def test_a_second_gateway_on_the_same_file_fails_at_once_and_takes_over_when_the_first_is_gone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    with writer(path, 100_000) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(LedgerUnavailableError, match="another gateway has the ledger"):
            await SqliteLedger.open(path, signer_for_tests())
        process.kill()
        process.stdout.read()
    eventually(lambda: process.poll() is not None, why="the first gateway is gone")
    assert await written(path) >= 0


async def test_a_finished_writer_leaves_everything(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with writer(path, 5) as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.split() == ["open", "0", "1", "2", "3", "4"]
    assert await written(path) == 5
