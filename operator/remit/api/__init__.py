"""The vocabulary of Remit: models and words. No behaviour beyond validation, no I/O."""
