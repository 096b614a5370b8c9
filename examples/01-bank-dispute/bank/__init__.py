"""A small core-banking system behind MCP: real SQLite, real money rules, fictitious customers.

It knows nothing of Remit. Its only demands are the ones any bank would make: an API key with every
request, and an idempotency key for whoever wants to repeat a write safely.
"""
