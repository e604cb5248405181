"""Score a detector on the Numenta Anomaly Benchmark.

Usage: `python benchmarks/nab.py --data DIR [--score-command CMD] [--threshold T] [--by-series]`

DIR holds `data/<category>/*.csv` (`timestamp,value`) and `labels/combined_windows.json`. CMD reads such a file on its
standard input and writes `timestamp,anomaly_score`, one row for each; without it the detector of spend rates is
asked. Series of the labels without a file are left out, and so are files without a label.
"""

import argparse
import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path

# Run by its path, it would find neither its neighbours nor the detector.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.nab_scoring import WEIGHTS, Profile, Series, best_threshold, normalised_score
from benchmarks.spend_scores import score_rows
from dataflows.detectors.spend_rate_core import ALARM

Scorer = Callable[[str], str]

LABELS = Path("labels", "combined_windows.json")


def read_series(folder: Path, score: Scorer) -> list[Series]:
    """Score all series, in the order of their names."""
    labels = json.loads((folder / LABELS).read_text())
    found = []
    for name in sorted(labels):
        path = folder / "data" / name
        if path.exists():
            found.append(_scored(name, path.read_text(), labels[name], score))
    return found


def _scored(name: str, text: str, labels: Sequence[Sequence[str]], score: Scorer) -> Series:
    times = [datetime.fromisoformat(row["timestamp"]) for row in csv.DictReader(StringIO(text))]
    scored = csv.DictReader(StringIO(score(text)))
    if "anomaly_score" not in (scored.fieldnames or ()):
        raise SystemExit(f"{name}: the answer has no column anomaly_score")
    scores = [float(row["anomaly_score"]) for row in scored]
    if len(scores) != len(times):
        raise SystemExit(f"{name}: {len(times)} rows, and {len(scores)} scores")
    if not all(0.0 <= one <= 1.0 for one in scores):
        raise SystemExit(f"{name}: a score is not in [0, 1]")
    windows = [(datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in labels]
    return Series(name, scores, [(times.index(begin), times.index(end)) for begin, end in windows])


def run_command(command: str) -> Scorer:
    """A scorer that asks a program."""

    def score(text: str) -> str:
        return subprocess.run(shlex.split(command), input=text, capture_output=True, text=True, check=True).stdout

    return score


def report(all_series: Sequence[Series], fixed: float, *, by_series: bool) -> str:
    """The scores as a table: best threshold of the profile, that of each category alone, one fixed in advance."""
    categories = sorted({series.category for series in all_series})
    lines = [f"{'':40}{'threshold':>10}{'score':>8}{'own best':>10}{f'at {fixed:g}':>10}"]
    for profile in Profile:
        weights = WEIGHTS[profile]
        threshold = best_threshold(all_series, weights)
        for category in (None, *categories):
            chosen = [series for series in all_series if category in {None, series.category}]
            own = threshold if category is None else best_threshold(chosen, weights)
            lines.append(
                f"{profile if category is None else '  ' + category:40}{threshold:10.4f}"
                f"{normalised_score(chosen, threshold, weights):8.2f}"
                f"{normalised_score(chosen, own, weights):10.2f}"
                f"{normalised_score(chosen, fixed, weights):10.2f}"
            )
            if by_series and category is not None:
                lines += [_line(series, profile, threshold, fixed) for series in chosen]
    return "\n".join(lines)


def _line(series: Series, profile: Profile, threshold: float, fixed: float) -> str:
    weights = WEIGHTS[profile]
    scores = [normalised_score([series], at, weights) for at in (threshold, fixed)]
    return f"    {series.name.split('/')[-1][:50]:50}{scores[0]:8.2f}{scores[1]:20.2f}"


def main() -> None:
    """Read the arguments, score, print."""
    parser = argparse.ArgumentParser(description="Score a detector on the Numenta Anomaly Benchmark.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--score-command", help="reads timestamp,value and writes timestamp,anomaly_score")
    parser.add_argument("--threshold", type=float, default=ALARM, help="the one fixed in advance")
    parser.add_argument("--by-series", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.data / LABELS).is_file():
        parser.error(f"--data: {arguments.data} has no {LABELS}")
    score = run_command(arguments.score_command) if arguments.score_command else score_rows
    all_series = read_series(arguments.data, score)
    print(report(all_series, arguments.threshold, by_series=arguments.by_series))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
