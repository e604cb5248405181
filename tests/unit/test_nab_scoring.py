"""The benchmark's score on examples small enough to be worked out by hand."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.nab_scoring import (
    NOTHING,
    WEIGHTS,
    Profile,
    Series,
    best_threshold,
    normalised_score,
    points_of,
    probationary_rows,
    raw_score,
    scaled_sigmoid,
)

STANDARD = WEIGHTS[Profile.STANDARD]

#: 100 rows, of which 15 are probationary; a window of 10 rows from row 40 on.
ROWS, FIRST, LAST = 100, 40, 49


def detected_at(*rows: int, windows: tuple[tuple[int, int], ...] = ((FIRST, LAST),)) -> Series:
    return Series("category/series.csv", [1.0 if row in rows else 0.0 for row in range(ROWS)], windows)


@pytest.mark.parametrize(
    ("position", "worth"),
    [
        pytest.param(-1.0, 0.98661, id="first row of a window"),
        pytest.param(-0.5, 0.84828, id="middle of a window"),
        pytest.param(0.0, 0.0, id="end of a window"),
        pytest.param(1.0, -0.98661, id="a width behind it"),
        pytest.param(3.0, -1.0, id="three widths behind it: wholly false"),
    ],
)
def test_the_sigmoid_is_the_published_one(position: float, worth: float) -> None:
    assert scaled_sigmoid(position) == pytest.approx(worth, abs=1e-5)


@pytest.mark.parametrize(
    ("rows", "probation"),
    [(100, 15), (101, 15), (4032, 604), (5000, 750), (22695, 750)],
    ids=["fifteen in a hundred", "rounded down", "two weeks of five minutes", "the most", "and no more"],
)
def test_the_beginning_of_a_series_does_not_count(rows: int, probation: int) -> None:
    assert probationary_rows(rows) == probation
    assert len(points_of(Series("a/b", [0.0] * rows, ()))) == rows - probation


def sigma(position: float) -> float:
    return 2 / (1 + math.exp(5 * position)) - 1


@pytest.mark.parametrize(
    ("rows", "raw"),
    [
        pytest.param((), -1.0, id="a miss"),
        pytest.param((40,), 1.0, id="found in the first row"),
        pytest.param((49,), sigma(-0.1) / sigma(-1), id="found in the last row"),
        pytest.param((45, 41, 49), sigma(-0.9) / sigma(-1), id="only the earliest counts"),
        pytest.param((20,), -1.0 - 0.11, id="a miss and one before the first window"),
        pytest.param((14,), -1.0, id="probationary"),
        pytest.param((15,), -1.11, id="just no longer probationary"),
        pytest.param((40, 50), 1.0 + 0.11 * sigma(1 / 9), id="one just behind the window"),
        pytest.param((40, 99), 1.0 - 0.11, id="one far behind the window"),
    ],
)
def test_detections_are_worth_what_the_rules_say(rows: tuple[int, ...], raw: float) -> None:
    assert raw_score(detected_at(*rows), 1.0, STANDARD) == pytest.approx(raw)


def test_a_window_that_nobody_finds_costs_double_where_misses_matter() -> None:
    assert raw_score(detected_at(), 1.0, WEIGHTS[Profile.LOW_FALSE_NEGATIVES]) == -2.0


def test_a_false_detection_costs_double_where_these_matter() -> None:
    assert raw_score(detected_at(20, 40), 1.0, WEIGHTS[Profile.LOW_FALSE_POSITIVES]) == pytest.approx(1.0 - 0.22)


def test_behind_two_windows_the_nearer_one_counts() -> None:
    series = detected_at(40, 60, 71, windows=((40, 49), (60, 69)))
    assert raw_score(series, 1.0, STANDARD) == pytest.approx(2.0 + 0.11 * sigma(2 / 9))


@pytest.mark.parametrize("profile", list(Profile), ids=str)
def test_perfect_is_a_hundred_and_silence_nothing(profile: Profile) -> None:
    both = [detected_at(40), detected_at(40)]
    assert normalised_score(both, 1.0, WEIGHTS[profile]) == pytest.approx(100.0)
    assert normalised_score(both, NOTHING, WEIGHTS[profile]) == 0.0


def test_the_threshold_is_the_best_for_all_series_together() -> None:
    # Alone the second series had better be silent; together finding the first one's window is worth it.
    first = Series("a/1", [0.6 if row == FIRST else 0.0 for row in range(ROWS)], ((FIRST, LAST),))
    second = Series("a/2", [0.6 if row == 30 else 0.0 for row in range(ROWS)], ())
    assert best_threshold([second], STANDARD) == NOTHING
    assert best_threshold([first, second], STANDARD) == 0.6
    assert normalised_score([first, second], 0.6, STANDARD) == pytest.approx(100 * (2 - 0.11) / 2)


def test_a_row_at_the_threshold_is_a_detection() -> None:
    series = Series("a/1", [0.6 if row == FIRST else 0.0 for row in range(ROWS)], ((FIRST, LAST),))
    assert raw_score(series, 0.6, STANDARD) == 1.0
    assert raw_score(series, math.nextafter(0.6, 1), STANDARD) == -1.0


@pytest.mark.parametrize("profile", list(Profile), ids=str)
def test_without_any_window_there_is_no_score(profile: Profile) -> None:
    assert math.isnan(normalised_score([Series("a/1", [1.0] * ROWS, ())], 0.5, WEIGHTS[profile]))


def test_it_is_a_program_that_can_be_run_from_anywhere_on_categories_without_a_window_too(tmp_path: Path) -> None:
    labels = {"found/a.csv": [["2026-01-01 20:00:00", "2026-01-01 23:00:00"]], "none/b.csv": []}
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    rows = "".join(f"2026-01-{1 + hour // 24:02} {hour % 24:02}:00:00,{int(hour == 20)}\n" for hour in range(48))
    for name in labels:
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text(f"timestamp,value\n{rows}")
    # Its answer is the value itself: it finds the window at its first row, and something in the other series in vain.
    mirror = "sed s/value/anomaly_score/"
    program = Path(__file__).parents[2] / "benchmarks" / "nab.py"
    command = [sys.executable, str(program), "--data", ".", "--score-command", mirror]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:4] == [
        "standard                                    1.0000   94.50     94.50     94.50",
        "  found                                     1.0000  100.00    100.00    100.00",
        "  none                                      1.0000     nan       nan       nan",
    ]
