"""The demo runs for real: what it tells is in the database, in the mails and on the console, and nothing else is."""

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
import sqlalchemy as sa

from cli.demo import cast
from cli.demo.scenario import HANGING
from cli.demo.stack import DATABASE
from cli.embedded.postgres import EmbeddedPostgres
from lifecycle import tables
from lifecycle.kinds import AuditAction, Channel, NotificationStatus, Priority, TaskKind
from lifecycle.statuses import Status

#: The blacklisting comes half a minute after the start; then its mail.
_STORY_SECONDS = 40


class Demo:
    """A demo in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli", "demo", "--folder", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid
        self.lines: list[str] = []

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def read_until(self, words: str) -> str:
        """The next line with these words; fails when the output ends before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            if words in line:
                return line
        raise AssertionError("\n".join(["the demo ended without saying it:", *self.lines]))

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, read the rest, wait; the exit code."""
        if number is not None:
            self._process.send_signal(number)
        assert self._process.stdout is not None
        self.lines += [line.rstrip() for line in self._process.stdout]
        return self._process.wait()


def processes_of(folder: Path) -> list[str]:
    """Command lines that name the folder: the servers', the monitor's. The worker and the API end with them."""
    listed = subprocess.run(["ps", "-eww", "-o", "command="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


def wait_until_none_is_left(folder: Path) -> None:
    give_up = time.monotonic() + 20
    while left := processes_of(folder):
        assert time.monotonic() < give_up, left
        time.sleep(0.05)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the embedded server's account can enter, which pytest's own isn't for root."""
    with tempfile.TemporaryDirectory(prefix="demo-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name) / ".demo"


@dataclass(frozen=True)
class Told:
    """What is left of a demo."""

    lines: list[str]
    exit_code: int
    metrics: str
    tasks_page: str
    rows: dict[str, list[sa.Row[tuple[object, ...]]]]
    mails: list[str]

    def all(self, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
        """A table's rows."""
        return self.rows[table.name]


def fetch(url: str) -> str:
    with urlopen(url, timeout=10) as response:
        return str(response.read().decode())


@pytest.fixture(scope="module")
def told(folder: Path) -> Told:
    with Demo(folder, "--seconds", str(_STORY_SECONDS)) as demo:
        console = demo.read_until("Console: ").split()[-1]
        metrics_url = demo.read_until("Metrics: ").split()[1]
        demo.read_until("keeps getting stuck")
        metrics, tasks_page = fetch(metrics_url), fetch(console)
        exit_code = demo.end()
    wait_until_none_is_left(folder)
    mails = [path.read_text() for path in sorted((folder / "mails").iterdir())]
    return Told(demo.lines, exit_code, metrics, tasks_page, read_tables(folder / "postgres"), mails)


def read_tables(data_dir: Path) -> dict[str, list[sa.Row[tuple[object, ...]]]]:
    with EmbeddedPostgres(data_dir) as postgres:
        engine = sa.create_engine(postgres.url(DATABASE), poolclass=sa.NullPool)
        with engine.connect() as connection:
            return {table.name: list(connection.execute(sa.select(table))) for table in tables.metadata.sorted_tables}


def test_it_ends_by_itself_and_says_so(told: Told) -> None:
    assert told.exit_code == 0, told.lines
    assert told.lines[-1].startswith("Ended")


def test_a_revoked_token_blocks_its_automation_alone(told: Told) -> None:
    status = {row.id: row.status for row in told.all(tables.automation_versions)}
    assert status.pop(cast.LEAD_SYNC.version_id) == Status.BLOCKED
    assert set(status.values()) == {Status.LIVE}
    actions = [row.action_type for row in told.all(tables.audit_logs) if row.resource_id == cast.LEAD_SYNC.version_id]
    assert {AuditAction.UPDATE_STATUS, AuditAction.BLOCK_AUTOMATION} <= set(actions)


def test_each_failed_system_has_a_task(told: Told) -> None:
    tasks = [row for row in told.all(tables.tasks) if row.kind == TaskKind.CREDENTIALS_ISSUE]
    assert {row.system_key for row in tasks} == {"salesforce", "google_sheets"}
    assert len(tasks) == 2
    assert {row.priority for row in tasks} == {Priority.HIGH}
    assert {row.tenant_id for row in tasks} == {"t_acme"}
    assert {row.automation_version_id for row in tasks} == {cast.LEAD_SYNC.version_id}


def test_the_customer_concerned_is_told_by_mail_and_in_app_and_no_other(told: Told) -> None:
    acme = next(each for each in cast.CUSTOMERS if each.tenant_id == "t_acme")
    notices = told.all(tables.notifications)
    in_app = {row.recipient for row in notices if row.channel == Channel.IN_APP}
    assert acme.contact_user_id in in_app
    emails = [row for row in notices if row.channel == Channel.EMAIL]
    assert {row.status for row in emails} == {NotificationStatus.DELIVERED}
    recipients = re.findall(r"^To: (.*)$", "\n".join(told.mails), re.MULTILINE)
    assert sorted(recipients) == sorted(row.recipient for row in emails)
    assert acme.contact_email in recipients
    others = {each.contact_email for each in cast.CUSTOMERS} - {acme.contact_email}
    assert others.isdisjoint(recipients)


def test_hanging_runs_are_stuck_and_their_workflow_is_blacklisted(told: Told) -> None:
    stuck = told.all(tables.stuck_executions)
    assert {row.workflow_id for row in stuck} == {cast.NIGHTLY_EXPORT.workflow_id}
    assert len(stuck) == HANGING
    (row,) = told.all(tables.workflow_blacklist)
    assert (row.workflow_id, row.stuck_count, row.reason) == (cast.NIGHTLY_EXPORT.workflow_id, 5, "auto:stuck:5")


def test_nothing_else_was_decided(told: Told) -> None:
    assert {row.workflow_id for row in told.all(tables.decisions)} == {
        cast.LEAD_SYNC.workflow_id,
        cast.NIGHTLY_EXPORT.workflow_id,
    }


@pytest.mark.parametrize(
    "line",
    ["not_json", "not_an_object", "missing_field", "naive_timestamp", "future_timestamp", "tenant_mismatch"],
)
def test_what_cannot_be_used_is_shown_with_its_reason(told: Told, line: str) -> None:
    assert any(f"refused    {line}: " in each for each in told.lines)


@pytest.mark.parametrize("word", ["BLOCK ", "stuck ", "BLACKLIST ", "task ", "mail "])
def test_the_terminal_shows_it(told: Told, word: str) -> None:
    assert any(f"  {word}" in each for each in told.lines)


def test_metrics_and_console_show_it(told: Told) -> None:
    assert re.search(r"^breakwater_automations_blocked 1(\.0)?$", told.metrics, re.MULTILINE)
    assert re.search(r"^breakwater_workflows_blacklisted 1(\.0)?$", told.metrics, re.MULTILINE)
    assert "Renew the credentials for Salesforce" in told.tasks_page


def test_no_error_text_of_a_provider_reaches_a_row_or_a_mail(told: Told) -> None:
    shown = [*told.mails, *(str(row) for table in tables.metadata.sorted_tables for row in told.all(table))]
    assert len(shown) > 50
    assert not [text for text in shown if "Token has been expired or revoked" in text]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_all_of_it_within_five_seconds_and_it_starts_again(folder: Path, number: signal.Signals) -> None:
    with Demo(folder) as demo:
        demo.read_until("Console: ")
        with Demo(folder) as second:
            assert second.end() == 2
            assert "running" in second.lines[-1]
        asked = time.monotonic()
        assert demo.end(number) == 0
        assert time.monotonic() - asked < 5
    assert processes_of(folder) == []
    assert list(folder.parent.iterdir()) == [folder]
    assert not list(Path(tempfile.gettempdir()).glob(f"breakwater-{demo.pid}-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="its children are told by the kernel there")
def test_killed_it_leaves_no_process(folder: Path) -> None:
    with Demo(folder) as demo:
        demo.read_until("Console: ")
        assert len(processes_of(folder)) > 2
        demo.end(signal.SIGKILL)
    wait_until_none_is_left(folder)
