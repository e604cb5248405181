"""Score the points of one series: `python benchmarks/spend_scores.py < in.csv > out.csv`.

Reads `timestamp,value` and writes `timestamp,anomaly_score`, a row for each row, in the same order and as soon as it is
read; scores are in [0, 1]. Timestamps are of ISO 8601, with a blank or a `T`, and are written as they were read; they
may repeat, leave gaps and go back. Values are finite numbers. Other columns do not matter, nor do line endings, nor
lines without anything. What is no such file ends it with status 2 and a message that names the line.
"""

import csv
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO, TextIOWrapper
from pathlib import Path

# The file is also run by its path, from wherever.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dataflows.detectors.spend_rate_core import SpendRate

COLUMNS = ("timestamp", "value")


class UnreadableSeriesError(Exception):
    """A line is not of the format; nothing was made of it. The message says which and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


def score_lines(lines: Iterable[str]) -> Iterator[list[str]]:
    """The rows of the answer, its header first; each is known before the next line is read.

    Raises:
        UnreadableSeriesError: a line is not of the format; the rows before were given.
    """
    yield ["timestamp", "anomaly_score"]
    reader = csv.reader(lines)
    series = SpendRate()
    places: Sequence[int] = ()
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not places:
                places = _places(row, reader.line_num)
                continue
            timestamp, at, value = _point(row, places, reader.line_num)
            yield [timestamp, repr(series.score(at, value))]
    except csv.Error as error:
        raise UnreadableSeriesError(reader.line_num, str(error)) from error


def score_rows(text: str) -> str:
    """The scores of a series, both as CSV with a header."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(score_lines(StringIO(text, newline="")))
    return out.getvalue()


def _places(header: Sequence[str], line: int) -> Sequence[int]:
    names = [name.strip().lower() for name in header]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UnreadableSeriesError(line, f"the header has no column {missing[0]}")
    return [names.index(name) for name in COLUMNS]


def _point(row: Sequence[str], places: Sequence[int], line: int) -> tuple[str, datetime, float]:
    if len(row) <= max(places):
        raise UnreadableSeriesError(line, f"{len(row)} columns, fewer than the header names")
    timestamp, number = (row[place] for place in places)
    try:
        at = datetime.fromisoformat(timestamp.strip())
    except ValueError:
        raise UnreadableSeriesError(line, f"{timestamp!r} is no time") from None
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnreadableSeriesError(line, f"{number!r} is no finite number")
    return timestamp, at, value


def main() -> None:
    """Answer what the standard input holds."""
    lines = TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="replace", newline="")
    try:
        csv.writer(sys.stdout, lineterminator="\n").writerows(score_lines(lines))
    except UnreadableSeriesError as error:
        sys.stdout.flush()
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
