"""The tools that the bank offers: name, description, strict JSON Schema, and operation."""

from dataclasses import dataclass
from typing import Any, Literal

from jsonschema import Draft202012Validator

from bank import operations

Schema = dict[str, Any]

MAX_OBJECTION = 300
NAMES_ONLY = frozenset({"required", "additionalProperties"})
"""Rules whose message in jsonschema names arguments and never shows a value."""

ACCOUNT: Schema = {"type": "string", "pattern": "^ACC-[0-9]{4,10}$", "maxLength": 14}
TRANSACTION: Schema = {"type": "string", "pattern": "^TXN-[0-9]{4,10}$", "maxLength": 14}
DISPUTE: Schema = {"type": "string", "pattern": "^DSP-[0-9]{4,10}$", "maxLength": 14}
DATE: Schema = {"type": "string", "pattern": "^20[0-9]{2}-[01][0-9]-[0-3][0-9]$", "maxLength": 10}
CENTS: Schema = {"type": "integer", "minimum": 1, "maximum": 10_000_000}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": 500}
REASON: Schema = {
    "type": "string",
    "enum": ["unauthorized", "incorrect_amount", "duplicate", "not_received", "atm_dispense_error"],
}
RESOLUTION: Schema = {
    "type": "string",
    "enum": ["in_favor_of_customer", "in_favor_of_bank", "withdrawn"],
}
TEMPLATE: Schema = {
    "type": "string",
    "enum": ["provisional_credit", "human_review", "claim_denied", "claim_resolved"],
}
NOTE: Schema = {"type": "string", "maxLength": 280, "pattern": "^[^\\x00-\\x1f<>]*$"}


def _closed(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


FIELDS = _closed({}, {"amount_cents": CENTS, "due_on": DATE, "note": NOTE})


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that a caller may ask of the bank."""

    name: str
    description: str
    effect: Literal["read", "write"]
    input_schema: Schema
    operation: operations.Operation

    def objection(self, arguments: object) -> str | None:
        """Say what is wrong with the arguments, or nothing."""
        fault = next(Draft202012Validator(self.input_schema).iter_errors(arguments), None)
        if fault is None:
            return None
        place = "/".join(map(str, fault.absolute_path)) or "arguments"
        if fault.validator in NAMES_ONLY:
            return f"{place}: {fault.message}"[:MAX_OBJECTION]
        # The value itself may be long or private: name its place and the rule that it breaks.
        return f"{place}: must be {fault.validator} {fault.validator_value}"[:MAX_OBJECTION]


_TOOLS = (
    Tool(
        "get_account",
        "Read an account: holder, kind, status and balance in cents.",
        "read",
        _closed({"account": ACCOUNT}),
        operations.get_account,
    ),
    Tool(
        "list_transactions",
        "List an account's transactions between two dates, both included.",
        "read",
        _closed({"account": ACCOUNT, "from": DATE, "to": DATE}, {"limit": LIMIT}),
        operations.list_transactions,
    ),
    Tool(
        "get_transaction",
        "Read one transaction.",
        "read",
        _closed({"transaction_id": TRANSACTION}),
        operations.get_transaction,
    ),
    Tool(
        "get_dispute",
        "Read a dispute with its provisional credits and letters.",
        "read",
        _closed({"dispute_id": DISPUTE}),
        operations.get_dispute,
    ),
    Tool(
        "open_dispute",
        "Open a Regulation E dispute over a debit of the account.",
        "write",
        _closed(
            {
                "account": ACCOUNT,
                "transaction_id": TRANSACTION,
                "reason": REASON,
                "amount_cents": CENTS,
            }
        ),
        operations.open_dispute,
    ),
    Tool(
        "issue_provisional_credit",
        "Credit the account while an open dispute is investigated; at most the disputed amount.",
        "write",
        _closed({"account": ACCOUNT, "dispute_id": DISPUTE, "amount_cents": CENTS}),
        operations.issue_provisional_credit,
    ),
    Tool(
        "send_letter",
        "Send the account holder a letter made from a template.",
        "write",
        _closed({"account": ACCOUNT, "dispute_id": DISPUTE, "template": TEMPLATE, "fields": FIELDS}),
        operations.send_letter,
    ),
    Tool(
        "close_dispute",
        "Close a dispute; unless the customer was right, its provisional credits are taken back.",
        "write",
        _closed({"dispute_id": DISPUTE, "resolution": RESOLUTION}),
        operations.close_dispute,
    ),
)

TOOLS = {tool.name: tool for tool in _TOOLS}
