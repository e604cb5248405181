"""How often Python looks for garbage in reference cycles."""

import atexit
import gc


def settle() -> None:
    """Look rarely: a stream process holds millions of long-lived objects and makes no cycles of its own.

    With the default thresholds every few thousand new objects lead to a walk over all state, which halves the
    throughput at 200,000 workflows. Nor is all state looked through when the process ends: at that size it takes a
    second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 50, 1000)
    atexit.register(gc.freeze)
