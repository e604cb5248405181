"""The public API, version 1: JSON for people's programs and for services (30.7)."""
