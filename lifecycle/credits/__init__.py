"""What runs cost: the ledger, baselines, cases and reviews (50)."""
