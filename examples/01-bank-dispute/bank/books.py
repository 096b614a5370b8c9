"""The database: opens it, seeds it, and runs each operation once per idempotency key.

INVARIANT: an effect, the record of the write and the key's answer are one durable transaction.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from bank.catalog import Tool
from bank.operations import RefusedError

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    # A container's root is read-only: nothing may spill to /tmp.
    "PRAGMA temp_store = MEMORY",
)
FIRST_GENERATED_NUMBER = 900_001


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is told, and whether the bank refused."""

    content: dict[str, Any]
    refused: bool = False


class Books:
    """One connection to the bank's database. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the database and make its tables where there are none."""
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in PRAGMAS:
            self._connection.execute(pragma)
        self._connection.executescript(files("bank").joinpath("schema.sql").read_text("utf-8"))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def seed(self, generated_accounts: int = 0) -> None:
        """Put the fictitious customers in, and as many numbered ones; what is there stays."""
        self._connection.executescript(files("bank").joinpath("seed.sql").read_text("utf-8"))
        numbers = range(FIRST_GENERATED_NUMBER, FIRST_GENERATED_NUMBER + generated_accounts)
        with self._connection as books:
            books.execute("BEGIN IMMEDIATE")
            books.executemany(
                "INSERT OR IGNORE INTO customers VALUES (?, ?, ?)",
                ((f"CUS-{n}", f"Customer {n}", f"c{n}@example.com") for n in numbers),
            )
            books.executemany(
                "INSERT OR IGNORE INTO accounts VALUES (?, ?, 'checking', 'open', 100000, 'USD', '2020-01-01')",
                ((f"ACC-{n}", f"CUS-{n}") for n in numbers),
            )
            books.executemany(
                "INSERT OR IGNORE INTO transactions VALUES"
                " (?, ?, '2026-05-12', 12550, 'debit', 'card_not_present', 'VOLTMART ONLINE 8837')",
                ((f"TXN-{n}", f"ACC-{n}") for n in numbers),
            )

    def read(self, tool: Tool, arguments: Mapping[str, Any]) -> Answer:
        """Answer a read; nothing is recorded."""
        try:
            return Answer(tool.operation(self._connection, arguments))
        except RefusedError as refusal:
            return _refusal(refusal)

    def write(self, tool: Tool, arguments: Mapping[str, Any], key: str | None) -> Answer:
        """Carry out a write, or answer from the record when its key was used before."""
        digest = digest_of(arguments)
        books = self._connection
        books.execute("BEGIN IMMEDIATE")
        try:
            answer = self._recorded(tool, digest, key)
            if answer is None:
                answer = self._carry_out(tool, arguments, digest, key)
        except BaseException:
            books.execute("ROLLBACK")
            raise
        books.execute("COMMIT")
        return answer

    def _recorded(self, tool: Tool, digest: str, key: str | None) -> Answer | None:
        row = self._connection.execute(
            "SELECT tool, arguments_sha256, refused, answer FROM idempotency_keys WHERE idempotency_key = ?",
            (key,),
        ).fetchone()
        if row is None:
            return None
        if (row["tool"], row["arguments_sha256"]) != (tool.name, digest):
            conflict = RefusedError("IdempotencyConflict", "this key was used for another call")
            self._record(tool, digest, key, "conflict", reason=conflict.reason)
            return _refusal(conflict)
        answer = Answer(json.loads(row["answer"]), refused=bool(row["refused"]))
        self._record(tool, digest, key, "replayed", object_id=_object_id(tool, answer))
        return answer

    def _carry_out(self, tool: Tool, arguments: Mapping[str, Any], digest: str, key: str | None) -> Answer:
        books = self._connection
        books.execute("SAVEPOINT effect")
        try:
            answer = Answer(tool.operation(books, arguments))
        except RefusedError as refusal:
            books.execute("ROLLBACK TO effect")
            answer = _refusal(refusal)
            self._record(tool, digest, key, "refused", reason=refusal.reason)
        else:
            self._record(tool, digest, key, "applied", object_id=_object_id(tool, answer))
        books.execute("RELEASE effect")
        if key is not None:
            books.execute(
                "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)",
                (key, tool.name, digest, int(answer.refused), json.dumps(answer.content)),
            )
        return answer

    def _record(
        self,
        tool: Tool,
        digest: str,
        key: str | None,
        outcome: Literal["applied", "replayed", "refused", "conflict"],
        *,
        reason: str | None = None,
        object_id: str | None = None,
    ) -> None:
        self._connection.execute(
            "INSERT INTO writes"
            " (tool, idempotency_key, arguments_sha256, outcome, reason, object_id) VALUES (?, ?, ?, ?, ?, ?)",
            (tool.name, key, digest, outcome, reason, object_id),
        )


def digest_of(arguments: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the arguments, whatever the order of their names."""
    canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _object_id(tool: Tool, answer: Answer) -> str | None:
    if answer.refused:
        return None
    names = {"issue_provisional_credit": "credit_id", "send_letter": "letter_id"}
    return str(answer.content[names.get(tool.name, "dispute_id")])


def _refusal(refusal: RefusedError) -> Answer:
    return Answer({"error": {"reason": refusal.reason, "message": refusal.message}}, refused=True)
