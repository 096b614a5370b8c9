"""The data-plane process. May not trust a header for identity, nor act without the ledger."""
