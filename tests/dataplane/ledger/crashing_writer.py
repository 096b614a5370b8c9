"""A process that writes to a ledger and says what was acknowledged, until it is killed.

Arguments: the ledger's path and how many works to do. The environment may name a crash point.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.evidence_facts import call_record
from tests.support.memory_ledger import signer_for_tests

from remit.adapters.sqlite_ledger import SqliteLedger
from remit.core.budget import Account, Amount
from remit.ports import LedgerTransaction, RunRecord


def spend(transaction: LedgerTransaction) -> int:
    """Spend a token, record a call and append an entry, all with the same number."""
    run = transaction.run("run-1")
    number = run.account.spent.tokens if run else 0
    transaction.put_run(RunRecord("run-1", "bank", "a", Account(0.0, spent=Amount(tokens=number + 1))))
    transaction.put_call(call_record(f"call-{number}"))
    transaction.append("run-1", b'{"number":%d}' % number)
    return number


def say(line: str) -> None:
    """Write a line that is out before anything else happens."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(path: Path, count: int) -> None:
    """Write one after the other; a line is an acknowledgement."""
    ledger = await SqliteLedger.open(path, signer_for_tests())
    say("open")
    for _ in range(count):
        say(str(await ledger.transact(spend)))
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
