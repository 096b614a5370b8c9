"""What the bank does: one function per tool, each inside a transaction that its caller holds.

They look things up, keep the bank's own rules and return what is answered. They know nothing of
MCP, HTTP or idempotency.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

Arguments = Mapping[str, Any]
Answer = dict[str, Any]
Operation = Callable[[sqlite3.Connection, Arguments], Answer]


class RefusedError(Exception):
    """The bank will not do this; nothing was changed."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason word beside the sentence."""
        super().__init__(message)
        self.reason = reason
        self.message = message


def get_account(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    """Return an account with its holder and balance."""
    return _one(
        books,
        "SELECT account, full_name AS customer, kind, status, balance_cents, currency, opened_on"
        " FROM accounts JOIN customers USING (customer_id) WHERE account = ?",
        arguments["account"],
    )


def list_transactions(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    """Return an account's transactions of a period, oldest first."""
    get_account(books, arguments)
    rows = books.execute(
        "SELECT transaction_id, posted_on, amount_cents, direction, channel, merchant"
        " FROM transactions WHERE account = ? AND posted_on BETWEEN ? AND ?"
        " ORDER BY posted_on, transaction_id LIMIT ?",
        (arguments["account"], arguments["from"], arguments["to"], arguments.get("limit", 100)),
    )
    return {"account": arguments["account"], "transactions": [dict(row) for row in rows]}


def get_transaction(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    """Return one transaction."""
    return _one(
        books,
        "SELECT transaction_id, account, posted_on, amount_cents, direction, channel, merchant"
        " FROM transactions WHERE transaction_id = ?",
        arguments["transaction_id"],
    )


def get_dispute(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    """Return a dispute with its credits and letters."""
    dispute_id = arguments["dispute_id"]
    dispute = _dispute(books, dispute_id)
    credits_ = books.execute(
        "SELECT credit_id, amount_cents, issued_on, reversed_on FROM provisional_credits"
        " WHERE dispute_id = ? ORDER BY number",
        (dispute_id,),
    ).fetchall()
    letters = books.execute(
        "SELECT letter_id, template, sent_on FROM letters WHERE dispute_id = ? ORDER BY number",
        (dispute_id,),
    ).fetchall()
    return {
        **dispute,
        "provisional_credits": [dict(row) for row in credits_],
        "letters": [dict(row) for row in letters],
    }


def open_dispute(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    """Open a dispute over a card payment of the account."""
    payment = get_transaction(books, arguments)
    if payment["account"] != arguments["account"]:
        raise RefusedError("NotFound", f"{arguments['account']} has no {arguments['transaction_id']}")
    if payment["direction"] != "debit":
        raise RefusedError("NotDisputable", "only a debit can be disputed")
    if arguments["amount_cents"] > payment["amount_cents"]:
        raise RefusedError("AmountTooHigh", f"the payment was {payment['amount_cents']} cents")
    try:
        number = books.execute(
            "INSERT INTO disputes (account, transaction_id, reason, amount_cents)"
            " VALUES (:account, :transaction_id, :reason, :amount_cents)",
            dict(arguments),
        ).lastrowid
    except sqlite3.IntegrityError as error:
        raise RefusedError("AlreadyDisputed", f"{arguments['transaction_id']} is in dispute") from error
    return _dispute(books, f"DSP-{number:06d}")


def issue_provisional_credit(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    """Credit the customer while the dispute is looked into, never beyond what is disputed."""
    dispute = _open_dispute_of(books, arguments)
    (credited,) = books.execute(
        "SELECT coalesce(sum(amount_cents), 0) FROM provisional_credits WHERE dispute_id = ?",
        (arguments["dispute_id"],),
    ).fetchone()
    if credited + arguments["amount_cents"] > dispute["amount_cents"]:
        left = dispute["amount_cents"] - credited
        raise RefusedError("CreditExceedsDispute", f"{left} cents of this dispute are not credited yet")
    number = books.execute(
        "INSERT INTO provisional_credits (dispute_id, account, amount_cents)"
        " VALUES (:dispute_id, :account, :amount_cents)",
        dict(arguments),
    ).lastrowid
    _post(books, arguments["account"], arguments["amount_cents"])
    credit = _one(
        books,
        "SELECT credit_id, dispute_id, account, amount_cents, issued_on FROM provisional_credits WHERE number = ?",
        number,
    )
    return {**credit, "balance_cents": get_account(books, arguments)["balance_cents"]}


def send_letter(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    """Send the account's holder a letter made from a template."""
    _dispute_of(books, arguments)
    fields = json.dumps(arguments["fields"], sort_keys=True)
    number = books.execute(
        "INSERT INTO letters (account, dispute_id, template, fields) VALUES (?, ?, ?, ?)",
        (arguments["account"], arguments["dispute_id"], arguments["template"], fields),
    ).lastrowid
    return _one(
        books,
        "SELECT letter_id, account, dispute_id, template, sent_on FROM letters WHERE number = ?",
        number,
    )


def close_dispute(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    """Close a dispute; when the bank was right, or the claim withdrawn, take its credits back."""
    dispute = _open_dispute_of(books, arguments)
    books.execute(
        "UPDATE disputes SET status = 'closed', resolution = ?, closed_on = date('now') WHERE dispute_id = ?",
        (arguments["resolution"], arguments["dispute_id"]),
    )
    if arguments["resolution"] != "in_favor_of_customer":
        _reverse_credits(books, dispute)
    return _dispute(books, arguments["dispute_id"])


def _reverse_credits(books: sqlite3.Connection, dispute: Answer) -> None:
    (credited,) = books.execute(
        "SELECT coalesce(sum(amount_cents), 0) FROM provisional_credits WHERE dispute_id = ? AND reversed_on IS NULL",
        (dispute["dispute_id"],),
    ).fetchone()
    _post(books, dispute["account"], -credited)
    books.execute(
        "UPDATE provisional_credits SET reversed_on = date('now') WHERE dispute_id = ? AND reversed_on IS NULL",
        (dispute["dispute_id"],),
    )


def _post(books: sqlite3.Connection, account: str, amount_cents: int) -> None:
    books.execute(
        "UPDATE accounts SET balance_cents = balance_cents + ? WHERE account = ?",
        (amount_cents, account),
    )


def _dispute(books: sqlite3.Connection, dispute_id: str) -> Answer:
    return _one(
        books,
        "SELECT dispute_id, account, transaction_id, reason, amount_cents, status, resolution,"
        " opened_on, provisional_credit_due, closed_on FROM disputes WHERE dispute_id = ?",
        dispute_id,
    )


def _dispute_of(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    dispute = _dispute(books, arguments["dispute_id"])
    if dispute["account"] != arguments.get("account", dispute["account"]):
        raise RefusedError("NotFound", f"{arguments['account']} has no {arguments['dispute_id']}")
    return dispute


def _open_dispute_of(books: sqlite3.Connection, arguments: Arguments) -> Answer:
    dispute = _dispute_of(books, arguments)
    if dispute["status"] != "open":
        raise RefusedError("DisputeClosed", f"{arguments['dispute_id']} is closed")
    return dispute


def _one(books: sqlite3.Connection, query: str, key: object) -> Answer:
    row = books.execute(query, (key,)).fetchone()
    if row is None:
        raise RefusedError("NotFound", f"there is no {key}")
    return dict(row)
