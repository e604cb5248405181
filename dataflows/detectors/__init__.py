"""Pure detectors: state and event in, state and decisions out (spec 20)."""
