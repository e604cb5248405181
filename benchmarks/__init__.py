"""Benchmarks, each with a command of its own; `benchmarks/README.md` says what they gave."""
