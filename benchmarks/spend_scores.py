"""Score the points of one series: `python benchmarks/spend_scores.py < in.csv > out.csv`.

Reads `timestamp,value` and writes `timestamp,anomaly_score`, a row for each row, in the same order; scores are in
[0, 1]. A value that is no finite number is scored 0 and not learned.
"""

import csv
import math
import sys
from datetime import datetime
from io import StringIO
from pathlib import Path

# The file is also run by its path, from wherever.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dataflows.detectors.spend_rate_core import SpendRate


def score_rows(text: str) -> str:
    """The scores of a series, both as CSV with a header."""
    series = SpendRate()
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["timestamp", "anomaly_score"])
    for row in csv.DictReader(StringIO(text)):
        value = _number(row["value"])
        score = 0.0 if value is None else series.score(datetime.fromisoformat(row["timestamp"]), value)
        writer.writerow([row["timestamp"], repr(score)])
    return out.getvalue()


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    sys.stdout.write(score_rows(sys.stdin.read()))
