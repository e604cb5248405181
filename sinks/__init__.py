"""Decisions to effects: one file a sink; effects are the lifecycle's."""
