"""Lines of files: their offsets, their ends, and lines that are too large, wherever a chunk is cut."""

import gzip
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest

from dataflows.dead_letters import MAX_KEPT_BYTES, DeadLetterCode
from dataflows.events import MAX_MESSAGE_BYTES
from dataflows.sources.lines import CHUNK, LineReader, Oversized, open_events
from tests.given import encode, ended, replay

Read = list[tuple[int, bytes | str]]


class Dripping(io.BytesIO):
    """A file that gives less than it is asked for, as pipes do."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, self._most))


def lines_of(file: Any, offset: int = 0) -> Read:
    """Every line with its byte offset; a line that is too large as the text `oversized`."""
    reader, out = LineReader(file, offset), Read()
    while (part := reader.read()) is not None:
        if isinstance(part, Oversized):
            out.append((part.offset, f"oversized: {part.size}"))
        else:
            out.extend((part.offset_of(index), line) for index, line in enumerate(part.lines))
    return out


@pytest.mark.parametrize("most", [1, 2, 3, 5, 1000], ids="{} bytes a read".format)
@pytest.mark.parametrize(
    ("content", "then"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a", [(0, b"a")], id="a line without an end"),
        pytest.param(b"a\n", [(0, b"a")], id="a line with an end"),
        pytest.param(b"a\nbc\ndef\n", [(0, b"a"), (2, b"bc"), (5, b"def")], id="three lines"),
        pytest.param(b"a\nbc", [(0, b"a"), (2, b"bc")], id="the last line has no end"),
        pytest.param(b"a\n\n\nb", [(0, b"a"), (2, b""), (3, b""), (4, b"b")], id="empty lines have an offset too"),
        pytest.param(b"a\r\nb\r\n", [(0, b"a\r"), (3, b"b\r")], id="line ends of Windows are half kept"),
        pytest.param(b"a\rb", [(0, b"a\rb")], id="a carriage return ends nothing"),
        pytest.param("a\u2028b\x0bc\x85d".encode(), [(0, "a\u2028b\x0bc\x85d".encode())], id="nor does anything else"),
    ],
)
def test_lines_and_their_offsets(content: bytes, then: Read, most: int) -> None:
    assert lines_of(Dripping(content, most)) == then


def test_reading_begins_where_it_is_told() -> None:
    file = io.BytesIO(b"abc\ndef\nghi")
    file.seek(4)
    assert lines_of(file, 4) == [(4, b"def"), (8, b"ghi")]


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, MAX_MESSAGE_BYTES])
def test_a_line_may_lie_across_chunks(size: int) -> None:
    content = b"a\n" + b"x" * size + b"\nb\n"
    assert lines_of(io.BytesIO(content)) == [(0, b"a"), (2, b"x" * size), (size + 3, b"b")]


ENDLESS = b"x" * (3 * MAX_MESSAGE_BYTES)


@pytest.mark.parametrize(
    ("content", "then"),
    [
        pytest.param(ENDLESS, [(0, "oversized: 3145728")], id="nothing else"),
        pytest.param(ENDLESS + b"\n", [(0, "oversized: 3145728")], id="with an end"),
        pytest.param(
            b"a\n" + ENDLESS + b"\nb\n", [(0, b"a"), (2, "oversized: 3145728"), (3145731, b"b")], id="between"
        ),
        pytest.param(
            ENDLESS + b"\nb\n" + ENDLESS + b"\nc",
            [(0, "oversized: 3145728"), (3145729, b"b"), (3145731, "oversized: 3145728"), (6291460, b"c")],
            id="a good line between two of them",
        ),
        pytest.param(
            ENDLESS + b"\n" + ENDLESS, [(0, "oversized: 3145728"), (3145729, "oversized: 3145728")], id="two in a row"
        ),
        pytest.param(
            ENDLESS + b"\nb\n\nc\nd",
            [(0, "oversized: 3145728"), (3145729, b"b"), (3145731, b""), (3145732, b"c"), (3145734, b"d")],
            id="several lines after it",
        ),
    ],
)
@pytest.mark.parametrize("most", [CHUNK, CHUNK - 7, 100_003], ids="{} bytes a read".format)
def test_a_line_that_is_too_large_is_not_kept_in_memory(content: bytes, then: Read, most: int) -> None:
    said = [one for one in lines_of(Dripping(content, most)) if one[1] != b"" or one in then]
    assert said == then


def test_of_an_endless_line_the_beginning_is_kept() -> None:
    line = b"".join(b"%08d" % number for number in range(700_000))
    part = LineReader(io.BytesIO(line + b"\n")).read()
    assert part == Oversized(0, line[:MAX_KEPT_BYTES], 5_600_000, hashlib.sha256(line).hexdigest())


# ---- what becomes of them


def full(size: int, event_id: str = "big") -> bytes:
    """An event of so many bytes, without an end."""
    empty = encode(ended(0, event_id=event_id, execution_id=event_id, payload="")).rstrip(b"\n")
    return empty.replace(b'"payload": ""', b'"payload": "' + b"x" * (size - len(empty)) + b'"')


GOOD = [encode(ended(0, name, event_id=name)) for name in "abc"]


@pytest.mark.parametrize(
    ("size", "end", "usable"),
    [
        pytest.param(MAX_MESSAGE_BYTES, b"\n", True, id="a mebibyte"),
        pytest.param(MAX_MESSAGE_BYTES + 1, b"\n", False, id="a byte more"),
        pytest.param(MAX_MESSAGE_BYTES, b"", True, id="a mebibyte at the end of the file"),
        pytest.param(MAX_MESSAGE_BYTES + 1, b"", False, id="a byte more at the end of the file"),
        pytest.param(MAX_MESSAGE_BYTES, b"\r\n", True, id="a mebibyte, with a line end of Windows"),
        pytest.param(MAX_MESSAGE_BYTES + 1, b"\r\n", False, id="a byte more, with that"),
        pytest.param(8 * MAX_MESSAGE_BYTES, b"\n", False, id="eight mebibytes"),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_mebibyte_is_the_limit_wherever_the_line_begins(size: int, end: bytes, before: int, *, usable: bool) -> None:
    begin = b"".join(GOOD[:before])
    line = full(size) + end
    outcome = replay([begin + line + (b"".join(GOOD[before:]) if end else b"")])
    good = 3 if end else before
    assert outcome.summary["events"] == good + usable
    assert [(one.code, one.position.offset, one.size) for one in outcome.dead_letters] == (
        [] if usable else [(DeadLetterCode.TOO_LARGE, len(begin), len(line.rstrip(b"\n")))]
    )


@pytest.mark.parametrize(
    ("content", "then"),
    [
        pytest.param(b"\n \n\t\r\n\r\n   ", [], id="blank lines are passed over"),
        pytest.param(b"x\n", [("not_json", 0, b"x")], id="its offset and its bytes"),
        pytest.param(b"\n\n[]\n", [("not_an_object", 2, b"[]")], id="blank lines count in the offset"),
        pytest.param(GOOD[0] + b"x", [("not_json", len(GOOD[0]), b"x")], id="after a good one"),
        pytest.param(
            b"x\r\n" + GOOD[0] + b"y", [("not_json", 0, b"x\r"), ("not_json", 3 + len(GOOD[0]), b"y")], id="two"
        ),
        pytest.param(
            "ü\n".encode() + b"y", [("not_json", 0, "ü".encode()), ("not_json", 3, b"y")], id="bytes, not characters"
        ),
        pytest.param(b"\xef\xbb\xbf" + GOOD[0], [("not_json", 0, b"\xef\xbb\xbf" + GOOD[0].strip())], id="a mark"),
    ],
)
def test_a_dead_letter_says_where_and_what(content: bytes, then: list[tuple[str, int, bytes]]) -> None:
    found = replay([content]).dead_letters
    assert [(one.code.value, one.position.offset, one.raw) for one in found] == then
    assert [(one.size, one.sha256) for one in found] == [
        (len(raw), hashlib.sha256(raw).hexdigest()) for *_, raw in then
    ]
    assert {(one.position.source, one.position.partition) for one in found} <= {("file0", -1)}


def test_a_dead_letter_neither_moves_the_watermark_nor_stops_the_stream() -> None:
    far = encode(ended(10_000, "far", http_status=1))
    outcome = replay([GOOD[0] + far + GOOD[1] + b"\xff\n" + GOOD[2]])
    assert outcome.summary == {
        "events": 3,
        "duplicates": 0,
        "late": 0,
        "dead_letters": {"invalid_field": 1, "not_json": 1},
        "decisions": {},
    }


def test_each_file_has_offsets_of_its_own() -> None:
    found = replay([GOOD[0] + b"x\n", b"\ny"]).dead_letters
    assert [(one.position.source, one.position.offset) for one in found] == [("file0", len(GOOD[0])), ("file1", 1)]


def test_line_ends_of_windows_change_nothing() -> None:
    assert replay([b"".join(GOOD).replace(b"\n", b"\r\n")]) == replay([b"".join(GOOD)])


def test_a_stream_of_many_chunks_is_read_whole() -> None:
    lines = [encode(ended(number / 60, f"x{number}", event_id=f"e{number}")) for number in range(6000)]
    content = b"".join(lines)
    assert len(content) > 2 * CHUNK
    assert replay([content]).summary["events"] == 6000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("plain", b"a\nb\n", id="plain"),
        pytest.param("packed.gz", gzip.compress(b"a\nb\n"), id="gzip"),
        pytest.param("packed", gzip.compress(b"a\nb\n"), id="gzip under another name"),
        pytest.param("plain.gz", b"a\nb\n", id="plain under gzip's name"),
        pytest.param("parts.gz", gzip.compress(b"a\n") + gzip.compress(b"b\n"), id="gzip in several parts"),
    ],
)
def test_gzip_is_known_by_its_first_bytes(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with open_events(path) as file:
        assert lines_of(file) == [(0, b"a"), (2, b"b")]


@pytest.mark.parametrize(
    "content", [b"", b"\x1f", gzip.compress(b"")], ids=["no bytes", "half of a mark", "nothing, packed"]
)
def test_an_empty_file_has_no_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with open_events(path) as file:
        assert lines_of(file) == ([(0, content)] if len(content) == 1 else [])


PACKED = gzip.compress(bytes(range(256)))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PACKED[:-9], id="cut off"),
        pytest.param(PACKED[:10] + b"\xff" + PACKED[11:], id="a block of no known type"),
        pytest.param(PACKED[:-5] + b"\x00" + PACKED[-4:], id="a sum that is wrong"),
        pytest.param(PACKED + b"more", id="something after it"),
    ],
)
def test_a_damaged_file_can_t_be_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    with open_events(path) as file, pytest.raises(gzip.BadGzipFile):
        lines_of(file)
