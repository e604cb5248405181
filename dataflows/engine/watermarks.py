"""How far a source partition has come in event time (spec 10)."""

from dataflows.times import NEVER


class Watermark:
    """The highest event time seen, less the allowed lateness; never goes back. Times in microseconds."""

    __slots__ = ("highest", "lateness", "value")

    def __init__(self, allowed_lateness: int, value: int = NEVER, highest: int = NEVER) -> None:
        self.lateness = allowed_lateness
        self.value = value
        #: The highest event time seen.
        self.highest = highest

    def see(self, time: int) -> int:
        """Take in an event time; the watermark, that event included."""
        if time > self.highest:
            self.highest = time
            self.value = max(self.value, time - self.lateness)
        return self.value

    def follow(self, clock: int) -> None:
        """Move with the receiving clock: only while the partition is caught up and idle."""
        self.value = max(self.value, clock - self.lateness)

    def finish(self, until: int = NEVER) -> None:
        """The input has ended: nothing can be late any more."""
        self.value = max(self.value, self.highest, until)
