"""Inputs by the conventions of the field, as run events: pure mappings of bytes to bytes (spec 10, Other inputs)."""
