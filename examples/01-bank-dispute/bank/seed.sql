-- Fictitious people and payments. One account for each run of the example, so that runs never meet.

INSERT OR IGNORE INTO customers (customer_id, full_name, email) VALUES
  ('CUS-4711', 'Maren Castellan', 'maren.castellan@example.com'),
  ('CUS-4712', 'Tobias Okafor',   'tobias.okafor@example.com'),
  ('CUS-4713', 'Ilse Brandt',     'ilse.brandt@example.com'),
  ('CUS-4714', 'Rajan Pillai',    'rajan.pillai@example.com'),
  ('CUS-4715', 'Noor El-Amin',    'noor.el-amin@example.com'),
  ('CUS-4716', 'Petra Lindqvist', 'petra.lindqvist@example.com');

INSERT OR IGNORE INTO accounts (account, customer_id, kind, balance_cents, opened_on) VALUES
  ('ACC-4711', 'CUS-4711', 'checking', 184250, '2019-03-11'),
  ('ACC-4712', 'CUS-4712', 'checking', 902115, '2015-08-24'),
  ('ACC-4713', 'CUS-4713', 'checking',  61320, '2021-01-05'),
  ('ACC-4714', 'CUS-4714', 'checking', 233407, '2018-11-30'),
  ('ACC-4715', 'CUS-4715', 'checking',  97000, '2022-06-17'),
  ('ACC-4716', 'CUS-4716', 'checking', 410050, '2017-02-02');

INSERT OR IGNORE INTO transactions
  (transaction_id, account, posted_on, amount_cents, direction, channel, merchant) VALUES
  ('TXN-471101', 'ACC-4711', '2026-05-04',   6480, 'debit',  'card_present',     'Greenleaf Grocers'),
  ('TXN-471102', 'ACC-4711', '2026-05-08', 310000, 'credit', 'transfer',         'Payroll, Harbor Museum'),
  ('TXN-471103', 'ACC-4711', '2026-05-12',  12550, 'debit',  'card_not_present', 'VOLTMART ONLINE 8837'),
  ('TXN-471104', 'ACC-4711', '2026-05-15',   2300, 'debit',  'card_present',     'Corner Roasters'),
  ('TXN-471201', 'ACC-4712', '2026-05-02',   9900, 'debit',  'card_present',     'City Transit'),
  ('TXN-471204', 'ACC-4712', '2026-05-19', 124000, 'debit',  'card_not_present', 'SKYHOP FARES INTL'),
  ('TXN-471302', 'ACC-4713', '2026-05-21',   4250, 'debit',  'card_not_present', 'STREAMBOX ANNUAL'),
  ('TXN-471401', 'ACC-4714', '2026-05-06',  18800, 'debit',  'atm',              'ATM 0417 Dock Street'),
  ('TXN-471501', 'ACC-4715', '2026-05-09',   7700, 'debit',  'card_not_present', 'PIXELFORGE STORE'),
  ('TXN-471601', 'ACC-4716', '2026-05-14',  31500, 'debit',  'card_not_present', 'NORTHWIND TICKETS');
