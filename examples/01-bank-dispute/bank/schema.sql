-- The books. Money is integer cents; times are UTC text set by SQLite, so that no clock is passed in.

CREATE TABLE IF NOT EXISTS customers (
  customer_id TEXT PRIMARY KEY CHECK (customer_id GLOB 'CUS-[0-9]*'),
  full_name   TEXT NOT NULL CHECK (length(full_name) BETWEEN 1 AND 120),
  email       TEXT NOT NULL CHECK (email LIKE '%_@_%')
) STRICT;

CREATE TABLE IF NOT EXISTS accounts (
  account       TEXT PRIMARY KEY CHECK (account GLOB 'ACC-[0-9]*'),
  customer_id   TEXT NOT NULL REFERENCES customers,
  kind          TEXT NOT NULL CHECK (kind IN ('checking', 'savings')),
  status        TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'frozen', 'closed')),
  balance_cents INTEGER NOT NULL,
  currency      TEXT NOT NULL DEFAULT 'USD' CHECK (currency = 'USD'),
  opened_on     TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS transactions (
  transaction_id TEXT PRIMARY KEY CHECK (transaction_id GLOB 'TXN-[0-9]*'),
  account        TEXT NOT NULL REFERENCES accounts,
  posted_on      TEXT NOT NULL,
  amount_cents   INTEGER NOT NULL CHECK (amount_cents > 0),
  direction      TEXT NOT NULL CHECK (direction IN ('debit', 'credit')),
  channel        TEXT NOT NULL CHECK (channel IN ('card_present', 'card_not_present', 'atm', 'transfer')),
  merchant       TEXT NOT NULL,
  UNIQUE (transaction_id, account)
) STRICT;
CREATE INDEX IF NOT EXISTS transactions_by_account ON transactions (account, posted_on);

-- Regulation E, 12 CFR 1005.11: a provisional credit is due within 10 business days, at most 14 days.
CREATE TABLE IF NOT EXISTS disputes (
  number                 INTEGER PRIMARY KEY AUTOINCREMENT,
  dispute_id             TEXT GENERATED ALWAYS AS (printf('DSP-%06d', number)) STORED UNIQUE,
  account                TEXT NOT NULL,
  transaction_id         TEXT NOT NULL UNIQUE,
  reason                 TEXT NOT NULL,
  amount_cents           INTEGER NOT NULL CHECK (amount_cents > 0),
  status                 TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
  resolution             TEXT,
  opened_on              TEXT NOT NULL DEFAULT (date('now')),
  provisional_credit_due TEXT NOT NULL DEFAULT (date('now', '+14 days')),
  closed_on              TEXT,
  FOREIGN KEY (transaction_id, account) REFERENCES transactions (transaction_id, account),
  CHECK ((status = 'closed') = (resolution IS NOT NULL))
) STRICT;

CREATE TABLE IF NOT EXISTS provisional_credits (
  number       INTEGER PRIMARY KEY AUTOINCREMENT,
  credit_id    TEXT GENERATED ALWAYS AS (printf('PCR-%06d', number)) STORED UNIQUE,
  dispute_id   TEXT NOT NULL REFERENCES disputes (dispute_id),
  account      TEXT NOT NULL REFERENCES accounts,
  amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
  issued_on    TEXT NOT NULL DEFAULT (date('now')),
  reversed_on  TEXT
) STRICT;

CREATE TABLE IF NOT EXISTS letters (
  number     INTEGER PRIMARY KEY AUTOINCREMENT,
  letter_id  TEXT GENERATED ALWAYS AS (printf('LTR-%06d', number)) STORED UNIQUE,
  account    TEXT NOT NULL REFERENCES accounts,
  dispute_id TEXT NOT NULL REFERENCES disputes (dispute_id),
  template   TEXT NOT NULL,
  fields     TEXT NOT NULL CHECK (json_valid(fields)),
  sent_on    TEXT NOT NULL DEFAULT (date('now'))
) STRICT;

-- Every write that reached the bank, whatever came of it: tests count effects and repeats here.
CREATE TABLE IF NOT EXISTS writes (
  number           INTEGER PRIMARY KEY AUTOINCREMENT,
  at               TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  tool             TEXT NOT NULL,
  idempotency_key  TEXT,
  arguments_sha256 TEXT NOT NULL,
  outcome          TEXT NOT NULL CHECK (outcome IN ('applied', 'replayed', 'refused', 'conflict')),
  reason           TEXT,
  object_id        TEXT
) STRICT;

-- What a key's first use was answered. Written in the transaction of the effect itself.
CREATE TABLE IF NOT EXISTS idempotency_keys (
  idempotency_key  TEXT PRIMARY KEY,
  tool             TEXT NOT NULL,
  arguments_sha256 TEXT NOT NULL,
  refused          INTEGER NOT NULL CHECK (refused IN (0, 1)),
  answer           TEXT NOT NULL CHECK (json_valid(answer))
) STRICT, WITHOUT ROWID;
