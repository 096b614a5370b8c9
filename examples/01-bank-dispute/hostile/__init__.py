"""A hostile agent: tries every way out of its sandbox, looks for secrets, and reports what it found."""
