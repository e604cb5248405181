"""Streams in, decisions out: sources, pure detectors, the engine that runs them."""
