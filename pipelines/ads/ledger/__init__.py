"""The ledger: what was shown and charged, as the journal tells it, and who decides a charge."""
