"""Tells what is in the bank's database, as one JSON value, for tests and the demo. Only reads."""

import json
import sqlite3
from pathlib import Path
from typing import Any

COLUMNS = {
    "accounts": "account, customer_id, balance_cents, status",
    "disputes": "dispute_id, account, transaction_id, reason, amount_cents, status, resolution, opened_on, closed_on",
    "provisional_credits": "credit_id, dispute_id, account, amount_cents, issued_on, reversed_on",
    "letters": "letter_id, dispute_id, account, template, fields, sent_on",
}
OBJECTS = {"disputes": "dispute_id", "provisional_credits": "credit_id", "letters": "letter_id"}
WRITES = "SELECT at, tool, idempotency_key, arguments_sha256, outcome, reason, object_id FROM writes ORDER BY number"

Row = dict[str, Any]


def contents(path: Path, account: str | None = None) -> dict[str, list[Row]]:
    """Return the books' rows by table, of one account or of all, and every write that came in."""
    # mode=rw, not ro: a reader of a WAL database has to be able to make its -shm file.
    books = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
    books.row_factory = sqlite3.Row
    try:
        found = {table: [_plain(row) for row in books.execute(_query(table), (account, account))] for table in COLUMNS}
        objects = {row[name] for table, name in OBJECTS.items() for row in found[table]}
        writes = [dict(row) for row in books.execute(WRITES)]
    finally:
        books.close()
    mine = [row for row in writes if account is None or row["object_id"] in objects]
    return {**found, "writes": mine}


def _query(table: str) -> str:
    columns = COLUMNS[table]
    return f"SELECT {columns} FROM {table} WHERE account = ? OR ? IS NULL ORDER BY rowid"  # noqa: S608 - constants


def _plain(row: sqlite3.Row) -> Row:
    plain = dict(row)
    if "fields" in plain:
        plain["fields"] = json.loads(plain["fields"])
    return plain
