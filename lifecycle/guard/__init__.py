"""The blast-radius guard: looks across tenants before anything is stopped without a person (30.6)."""
