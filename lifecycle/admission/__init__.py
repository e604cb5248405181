"""The admission gate: every way to start a run asks here first (40.5)."""
