"""Decisions: synchronous, pure and total. No I/O, clock, randomness or logging."""
