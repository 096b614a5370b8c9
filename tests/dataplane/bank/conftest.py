"""One bank and one model for the whole session, and a fresh claim for each test that wants one."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.dataplane.bank.servers import Bank, Claim, Server, start, start_bank

NUMBERS = count(900_001)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    database: Path = tmp_path_factory.mktemp("bank") / "bank.db"
    server = start_bank(database, "--generate", "200", "--allow-faults")
    yield Bank(server, database)
    server.kill()


@pytest.fixture(scope="session")
def model() -> Iterator[Server]:
    server = start("model", "--port", "0")
    yield server
    server.kill()


@pytest.fixture
def claim() -> Claim:
    number = next(NUMBERS)
    return Claim(f"ACC-{number}", f"TXN-{number}")
