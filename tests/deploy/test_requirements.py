"""The dependencies: explained one by one, pinned with hashes, and no host is recorded."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("runtime", "dev")

each_part = pytest.mark.parametrize("part", PARTS)


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(part: str) -> list[str]:
    """The packages that `part`.in names, without extras and versions."""
    lines = (ROOT / "requirements" / f"{part}.in").read_text().splitlines()
    return [normal(re.split(r"[\[=<>~! ;]", line)[0]) for line in lines if re.match(r"[A-Za-z]", line)]


def locked(part: str) -> dict[str, str]:
    """Package -> its whole entry in `part`.txt."""
    entries = re.split(r"^(?=[A-Za-z])", (ROOT / "requirements" / f"{part}.txt").read_text(), flags=re.MULTILINE)
    return {normal(entry.split("==")[0]): entry for entry in entries if "==" in entry}


def explained() -> dict[str, list[str]]:
    """Part -> the packages in its table of docs/dependencies.md."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    sections = re.split(r"^## .*requirements/(\w+)\.in`$", text, flags=re.MULTILINE)[1:]
    rows = {
        part: re.findall(r"^\| ([\w.-]+) \| \S", body, flags=re.MULTILINE)
        for part, body in zip(sections[::2], sections[1::2], strict=True)
    }
    return {part: [normal(name) for name in names if name != "package"] for part, names in rows.items()}


@each_part
def test_each_dependency_is_explained_and_nothing_else_is(part: str) -> None:
    assert explained()[part] == named(part)


@each_part
def test_each_dependency_is_locked(part: str) -> None:
    assert set(named(part)) <= set(locked(part))


@each_part
def test_each_locked_version_has_hashes(part: str) -> None:
    assert all(re.match(r"\S+==\S+", entry) and "--hash=sha256:" in entry for entry in locked(part).values())


@each_part
def test_no_host_is_recorded(part: str) -> None:
    assert not re.search(r"://|--(extra-)?index-url|--find-links", (ROOT / "requirements" / f"{part}.txt").read_text())


def test_the_two_parts_agree_where_both_pin_a_package() -> None:
    def version(entry: str) -> str:
        return re.split(r"[\s;]", entry)[0]

    runtime, dev = locked("runtime"), locked("dev")
    shared = runtime.keys() & dev.keys()
    assert {name: version(runtime[name]) for name in shared} == {name: version(dev[name]) for name in shared}
