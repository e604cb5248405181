"""The only code that knows both detectors and bytewax: key groups, watermarks, snapshots."""
