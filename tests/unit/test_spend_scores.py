"""The plain interface of the series detector: CSV in, CSV out, a row for each row."""

import csv
import math
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.spend_scores import UnreadableSeriesError, score_rows

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "spend_scores.py"

HEADER = "timestamp,value\n"


def answer(text: str) -> list[list[str]]:
    return list(csv.reader(StringIO(score_rows(text))))


def wave(rows: int) -> list[str]:
    """Five minutes apart, with a fall in the middle."""
    return [
        f"2014-02-{14 + at // 288:02} {at // 12 % 24:02}:{at % 12 * 5:02}:00,"
        f"{50 + 10 * math.sin(at / 288 * 2 * math.pi) - (90 if at == rows // 2 else 0):.3f}"
        for at in range(rows)
    ]


def program(text: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, str(PROGRAM)], input=text, capture_output=True, check=False, cwd=folder)


@given(
    st.lists(
        st.tuples(st.datetimes(), st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False))).filter(
            lambda row: math.isfinite(row[1])
        ),
        max_size=300,
    )
)
def test_there_is_a_row_for_each_row(rows: list[tuple[object, float]]) -> None:
    found = answer(HEADER + "".join(f"{at},{value!r}\n" for at, value in rows))
    assert found[0] == ["timestamp", "anomaly_score"]
    assert [row[0] for row in found[1:]] == [str(at) for at, _ in rows]
    assert all(0.0 <= float(row[1]) <= 1.0 for row in found[1:])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\r\n".join(["timestamp,value", *wave(600)]), id="lines that end as on Windows"),
        pytest.param("\n".join(["timestamp,value", *wave(600)]), id="a last line without an end"),
        pytest.param("\n\n".join(["timestamp,value", *wave(600), ""]), id="blank lines"),
        pytest.param("\n".join([" Timestamp , VALUE ", *wave(600)]), id="a header with blanks and capitals"),
        pytest.param("\n".join(["timestamp,value,label", *(f"{row},0" for row in wave(600))]), id="one column more"),
        pytest.param(
            "\n".join(["value,timestamp", *(",".join(reversed(row.split(","))) for row in wave(600))]),
            id="columns the other way round",
        ),
        pytest.param(
            "\n".join(
                ["timestamp,value", *(f'"{row.split(",")[0]}",{float(row.split(",")[1]):e}' for row in wave(600))]
            ),
            id="quotes and scientific notation",
        ),
    ],
)
def test_the_same_series_has_the_same_scores_however_it_is_written(text: str) -> None:
    found = answer(text)
    assert found == answer("\n".join(["timestamp,value", *wave(600)]) + "\n")
    assert float(found[1 + 300][1]) > 0.5


@pytest.mark.parametrize(
    "timestamps",
    [
        pytest.param(["2014-03-30 01:55:00", "2014-03-30 03:00:00"], id="an hour that is left out"),
        pytest.param(["2014-10-26 02:55:00", "2014-10-26 02:00:00"], id="an hour that comes twice"),
        pytest.param(["2014-02-14 14:30:00", "2014-02-14 14:30:00"], id="the same time twice"),
        pytest.param(["2014-02-14 14:30:00", "2019-01-01 00:00:00"], id="a gap of years"),
        pytest.param(["2014-02-14T14:30:00Z", "2014-02-14 14:30:00.5+05:30"], id="times with zones"),
        pytest.param(["2014-02-14", "2014-02-14 14:30"], id="a day, and a minute"),
    ],
)
def test_times_are_written_as_they_were_read(timestamps: list[str]) -> None:
    assert [row[0] for row in answer(HEADER + "".join(f"{at},1\n" for at in timestamps))[1:]] == timestamps


@pytest.mark.parametrize("text", ["", "\n", HEADER], ids=["nothing", "an empty line", "a header alone"])
def test_no_rows_have_no_scores(text: str) -> None:
    assert score_rows(text) == "timestamp,anomaly_score\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a,b\n1,2\n", "line 1: the header has no column timestamp", id="another header"),
        pytest.param("2014-02-14 14:30:00,1\n", "line 1: the header has no column timestamp", id="no header"),
        pytest.param("timestamp\n", "line 1: the header has no column value", id="half a header"),
        pytest.param(f"{HEADER}2014-02-14 14:30:00,nan\n", "line 2: 'nan' is no finite number", id="not a number"),
        pytest.param(f"{HEADER}2014-02-14 14:30:00,-inf\n", "line 2: '-inf' is no finite number", id="infinity"),
        pytest.param(f"{HEADER}2014-02-14 14:30:00,\n", "line 2: '' is no finite number", id="no value"),
        pytest.param(f"{HEADER}\r\n\r\n2014-02-14 14:30:00,x\n", "line 4: 'x' is no finite number", id="a word"),
        pytest.param(f"{HEADER}soon,1\n", "line 2: 'soon' is no time", id="no time"),
        pytest.param(f"{HEADER}2014-02-30 00:00:00,1\n", "line 2: '2014-02-30 00:00:00' is no time", id="no such day"),
        pytest.param(f"{HEADER}2014-02-14 14:30:00\n", "line 2: 1 columns, fewer than the header names", id="one cell"),
    ],
)
def test_what_is_no_series_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UnreadableSeriesError, match=f"^{message}$"):
        score_rows(text)


def test_it_is_a_program_that_can_be_run_from_anywhere(tmp_path: Path) -> None:
    text = "\n".join(["timestamp,value", *wave(600)])
    said = program(b"\xef\xbb\xbf" + text.encode(), tmp_path)
    assert (said.returncode, said.stdout.decode(), said.stderr) == (0, score_rows(text), b"")


def test_the_program_says_what_it_could_not_read_and_ends_with_two(tmp_path: Path) -> None:
    said = program(f"{HEADER}2014-02-14 14:30:00,1\n2014-02-14 14:35:00,\xff\n".encode("latin-1"), tmp_path)
    assert said.returncode == 2
    assert said.stdout == b"timestamp,anomaly_score\n2014-02-14 14:30:00,0.0\n"
    assert said.stderr.decode().startswith("line 3: ")
    assert said.stderr.decode().endswith(" is no finite number\n")
