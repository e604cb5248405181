"""How often Python looks for garbage in reference cycles."""

import atexit
import gc


def settle() -> None:
    """Look rarely: a stream process holds millions of long-lived objects and makes no cycles of its own.

    With the default thresholds every few thousand new objects lead to a walk over all state, which halves the
    throughput at 200,000 workflows. To look through half a million new ones takes a quarter of a second, so it waits
    for two million, which is what a million workflows take. Nor is all state looked through when the process ends: at
    200,000 workflows it takes a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000_000, 50, 1000)
    atexit.register(gc.freeze)
