"""The demo runs for real: what it tells is in the database, in the mails and on the console, and nothing else is."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_string, policy
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa

from cli.demo import cast
from cli.demo.scenario import COSTLY, COSTLY_RUNS, HANGING
from cli.demo.settings import COMMAND
from cli.demo.stack import DATABASE
from cli.embedded.postgres import EmbeddedPostgres
from lifecycle import tables
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.kinds import (
    AdmissionVerdict,
    Audience,
    AuditAction,
    BindingStatus,
    CaseSeverity,
    Channel,
    NotificationStatus,
    Priority,
    RefusalCode,
    TaskKind,
    TaskStatus,
)
from lifecycle.statuses import Operation, Status

#: All but the last block have come, and the worker has looked what the platform must be asked, twice a minute. The last
#: can't come before 109 s: the incident takes 49 s at least, and what was counted is distrusted for 60 s after it.
_STORY_SECONDS = 75


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
    #: While the first automation was blocked, and when a workflow was blacklisted.
    metrics_of_block: str
    metrics_of_blacklisting: str
    tasks_page: str
    #: What the API said to one who did what the demo says.
    blocked: list[dict[str, Any]]
    #: The page that the first block's line names.
    decision_page: str
    #: Those that the refusal at the gate and the credit case name.
    blacklist_page: str
    case_page: str
    #: What the command that the demo names said of the ledger.
    verified: str
    key: str
    rows: dict[str, list[sa.Row[tuple[object, ...]]]]
    mails: list[str]

    def all(self, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
        """A table's rows."""
        return self.rows[table.name]

    def of(self, table: sa.Table, workflow: cast.Workflow) -> list[sa.Row[tuple[object, ...]]]:
        """A table's rows of one version, oldest first."""
        return [row for row in self.rows[table.name] if row.automation_version_id == workflow.version_id]

    def asked_of(self, workflow: cast.Workflow) -> list[Any]:
        """What the admission gate answered for a workflow, oldest first."""
        answers: list[Any] = [row for row in self.all(tables.admissions) if row.workflow_id == workflow.workflow_id]
        return sorted(answers, key=lambda row: row.decided_at)

    def ends_of(self, execution_id: object) -> list[str]:
        """How the ledger says that an execution ended."""
        return [str(row.status) for row in self.all(tables.credit_runs) if row.execution_id == str(execution_id)]

    def path_of(self, workflow: cast.Workflow) -> list[str]:
        """The statuses that a version has had."""
        rows = self.of(tables.automation_versions_status_history, workflow)
        return [str(row.to_status) for row in sorted(rows, key=lambda row: int(str(row.id)))]


def fetch(url: str, token: str | None = None) -> str:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urlopen(Request(url, headers=headers), timeout=10) as response:
        return str(response.read().decode())


def link_in(line: str) -> str:
    """The address in a line of the demo."""
    found = re.search(r"http://127\.0\.0\.1:\d+/[^\s\"]*", line)
    assert found is not None, line
    return found.group()


def typed(words: str) -> str:
    """Type what the demo says; what comes of it."""
    return subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=True).stdout


def follow(token_line: str) -> str:
    """Type what the demo says, and get a token."""
    return typed(f'{token_line.removeprefix("A token: ").strip()} && echo "$TOKEN"').strip()


def key_in(command: str) -> str:
    """The key that signs tokens, out of the command that has all settings."""
    found = re.search(r"^export BREAKWATER_AUTH__DEVELOPMENT_KEY=(\S+)$", command, re.MULTILINE)
    assert found is not None
    return found.group(1)


@pytest.fixture(scope="module")
def told(folder: Path) -> Told:
    with Demo(folder, "--seconds", str(_STORY_SECONDS)) as demo:
        console = link_in(demo.read_until("Console: "))
        metrics_url = link_in(demo.read_until("Metrics: "))
        verify = demo.read_until("Commands: ").removeprefix("Commands: ").partition(" (")[0]
        # At once: in ten seconds the block is over.
        token = follow(demo.read_until("A token: "))
        blocked_url = link_in(demo.read_until("The API: "))
        demo.read_until("  BLOCK ")
        decision_page = fetch(link_in(demo.read_until("as evidence")))
        metrics_of_block, tasks_page = fetch(metrics_url), fetch(console)
        blocked = json.loads(fetch(blocked_url, token))["items"]
        demo.read_until("keeps getting stuck")
        metrics_of_blacklisting = fetch(metrics_url)
        demo.read_until("the run may not start: workflow_blacklisted")
        blacklist_page = fetch(link_in(demo.read_until("why: ")))
        demo.read_until("  CASE ")
        case_page = fetch(link_in(demo.read_until("/console/cases/")))
        verified = typed(verify)
        exit_code = demo.end()
    wait_until_none_is_left(folder)
    return Told(
        lines=demo.lines,
        exit_code=exit_code,
        metrics_of_block=metrics_of_block,
        metrics_of_blacklisting=metrics_of_blacklisting,
        tasks_page=tasks_page,
        blocked=blocked,
        decision_page=decision_page,
        blacklist_page=blacklist_page,
        case_page=case_page,
        verified=verified,
        key=key_in((folder / COMMAND).read_text()),
        rows=read_tables(folder / "postgres"),
        mails=[path.read_text() for path in sorted((folder / "mails").iterdir())],
    )


def read_tables(data_dir: Path) -> dict[str, list[sa.Row[tuple[object, ...]]]]:
    with EmbeddedPostgres(data_dir) as postgres:
        engine = sa.create_engine(postgres.url(DATABASE), poolclass=sa.NullPool)
        with engine.connect() as connection:
            return {table.name: list(connection.execute(sa.select(table))) for table in tables.metadata.sorted_tables}


def test_it_ends_by_itself_and_says_so(told: Told) -> None:
    assert told.exit_code == 0, told.lines
    assert told.lines[-1].startswith("Ended")


def test_a_revoked_token_blocks_its_automation_and_renewed_credentials_bring_it_back(told: Told) -> None:
    assert told.path_of(cast.LEAD_SYNC) == [Status.LIVE, Status.BLOCKED, Status.LIVE]
    actions = [row.action_type for row in told.all(tables.audit_logs) if row.resource_id == cast.LEAD_SYNC.version_id]
    assert {AuditAction.UPDATE_STATUS, AuditAction.BLOCK_AUTOMATION, AuditAction.UNBLOCK_AUTOMATION} <= set(actions)
    credentials = told.all(tables.credential_events)
    assert {(row.credential_id, row.actor) for row in credentials} == {
        (cast.LEAD_SYNC.credential_id("google_sheets"), "u_acme_ada"),
        (cast.LEAD_SYNC.credential_id("salesforce"), "service:integration_monitor"),
    }
    (unblocked,) = [
        row
        for row in told.of(tables.automation_versions_status_history, cast.LEAD_SYNC)
        if row.operation == Operation.UNBLOCK_FOR_CREDENTIALS
    ]
    assert unblocked.actor == "service:credentials"


def test_each_failed_system_has_a_task_that_ends_with_the_block(told: Told) -> None:
    tasks = told.of(tables.tasks, cast.LEAD_SYNC)
    assert sorted(str(row.system_key) for row in tasks) == ["google_sheets", "salesforce"]
    assert {row.kind for row in tasks} == {TaskKind.CREDENTIALS_ISSUE}
    assert {row.priority for row in tasks} == {Priority.HIGH}
    assert {row.tenant_id for row in tasks} == {"t_acme"}
    assert {row.status for row in tasks} == {TaskStatus.COMPLETE}


def test_a_version_is_deployed_by_the_platform_and_the_one_before_archived(told: Told) -> None:
    before, after = cast.SHIPMENT_DIGEST, cast.NEXT_SHIPMENT_DIGEST
    assert told.path_of(after) == [Status.READY_TO_LAUNCH, Status.LIVE]
    assert told.path_of(before) == [Status.LIVE, Status.ARCHIVED]
    asked = [line.partition("is asked to ")[2] for line in told.lines if "  platform " in line]
    assert asked == [f"activate {after.workflow_id}", f"deactivate {before.workflow_id}"]
    bindings = {row.automation_version_id: row.status for row in told.all(tables.workflow_bindings)}
    assert (bindings[before.version_id], bindings[after.version_id]) == (BindingStatus.INACTIVE, BindingStatus.ACTIVE)


def test_an_incident_of_a_provider_takes_the_blocks_back_and_leaves_one_task(told: Told) -> None:
    (incident,) = told.all(tables.provider_incidents)
    assert (incident.system_key, incident.tenant_count) == ("zendesk", len(cast.CUSTOMERS))
    holds = told.all(tables.holds)
    assert {row.workflow_id for row in holds} == {each.workflow_id for each in cast.TICKET_SYNCS}
    undone = {row.workflow_id for row in holds if row.undone}
    assert len(undone) == GuardPolicy().incident_tenants - 1
    for each in cast.TICKET_SYNCS:
        was_blocked = each.workflow_id in undone
        assert told.path_of(each) == ([Status.LIVE, Status.BLOCKED, Status.LIVE] if was_blocked else [Status.LIVE])
    tasks = [row for row in told.all(tables.tasks) if row.system_key == "zendesk"]
    assert [row.priority for row in tasks if row.status != TaskStatus.CANCELLED] == [Priority.CRITICAL]


def test_only_the_customers_concerned_are_told_and_none_of_the_incident(told: Told) -> None:
    notices = told.all(tables.notifications)
    emails = [row for row in notices if row.channel == Channel.EMAIL]
    told_or_not = {NotificationStatus.DELIVERED, NotificationStatus.CANCELLED, NotificationStatus.MUTED}
    assert {row.status for row in emails} <= told_or_not
    received = [message_from_string(text, policy=policy.default) for text in told.mails]
    delivered = [row for row in emails if row.status == NotificationStatus.DELIVERED]
    assert sorted(str(mail["To"]) for mail in received) == sorted(str(row.recipient) for row in delivered)
    clients = {each.contact_email for each in cast.CUSTOMERS}
    to_clients = sorted((str(mail["To"]), str(mail["Subject"])) for mail in received if str(mail["To"]) in clients)
    assert to_clients == [
        ("ada.byrne@acme.example", "Blocked: Acme Robotics, “Lead sync to Salesforce”"),
        ("ada.byrne@acme.example", "No longer blocked: Acme Robotics, “Lead sync to Salesforce”"),
        ("luis.ortega@globex.example", "Live: Globex Logistics, “Shipment digest”"),
    ]
    in_app = {
        row.recipient
        for row in notices
        if row.channel == Channel.IN_APP
        and row.audience == Audience.CLIENT
        and row.status != NotificationStatus.CANCELLED
    }
    assert in_app == {"u_acme_ada", "u_globex_luis"}


def test_hanging_runs_are_stuck_and_their_workflow_is_blacklisted(told: Told) -> None:
    stuck = told.all(tables.stuck_executions)
    assert {row.workflow_id for row in stuck} == {cast.NIGHTLY_EXPORT.workflow_id}
    assert len(stuck) == HANGING
    (row,) = told.all(tables.workflow_blacklist)
    assert (row.workflow_id, row.stuck_count, row.reason) == (cast.NIGHTLY_EXPORT.workflow_id, 5, "auto:stuck:5")


def test_the_gate_refuses_the_blacklisted_workflow_until_it_is_taken_off_the_list_and_its_run_succeeds(
    told: Told,
) -> None:
    refused, admitted = told.asked_of(cast.NIGHTLY_EXPORT)
    assert (refused.verdict, refused.code) == (AdmissionVerdict.REFUSED, RefusalCode.WORKFLOW_BLACKLISTED)
    assert admitted.verdict == AdmissionVerdict.ADMITTED
    (row,) = told.all(tables.workflow_blacklist)
    assert row.removed_by == "platform_pia"
    assert refused.decided_at < row.removed_at < admitted.decided_at
    assert told.ends_of(admitted.execution_id) == ["success"]
    assert not told.ends_of(refused.execution_id)
    assert cast.NIGHTLY_EXPORT.name in told.blacklist_page


def test_a_runaway_prompt_becomes_a_case_that_holds_its_workflow_until_it_is_acknowledged(told: Told) -> None:
    (case,) = told.all(tables.credit_cases)
    assert (case.severity, case.scenario, case.workflow_id) == (
        CaseSeverity.SEV1,
        cast.PRESS_REVIEW.name,
        cast.PRESS_REVIEW.workflow_id,
    )
    assert case.acknowledged_by == "u_hooli_iris"
    runs = told.all(tables.credit_case_runs)
    assert len(runs) == len(COSTLY_RUNS)
    assert all(COSTLY - 1 < float(str(run.variance_multiplier)) < COSTLY + 1 for run in runs)
    refused, admitted = told.asked_of(cast.PRESS_REVIEW)
    assert (refused.verdict, refused.code) == (AdmissionVerdict.REFUSED, RefusalCode.WORKFLOW_ON_HOLD)
    assert admitted.verdict == AdmissionVerdict.ADMITTED
    assert refused.decided_at < case.acknowledged_at < admitted.decided_at
    assert "ex_hooli_press_review_costly0" in told.case_page


def test_the_ledger_has_the_runs_of_all_customers_and_is_checked(told: Told) -> None:
    tenants = {each.tenant_id for each in cast.CUSTOMERS}
    assert {row.tenant_id for row in told.all(tables.credit_runs)} == tenants
    assert any("all chains hold" in line for line in told.lines)
    assert [line.split(":")[0] for line in told.verified.splitlines() if ": holds" in line] == sorted(tenants)


def test_nothing_else_was_decided_or_moved(told: Told) -> None:
    in_the_story = {cast.LEAD_SYNC, cast.NIGHTLY_EXPORT, cast.PRESS_REVIEW, *cast.TICKET_SYNCS}
    assert {row.workflow_id for row in told.all(tables.decisions)} == {each.workflow_id for each in in_the_story}
    untouched = set(cast.WORKFLOWS) - in_the_story - {cast.SHIPMENT_DIGEST, cast.NEXT_SHIPMENT_DIGEST}
    assert {tuple(told.path_of(each)) for each in untouched} == {(Status.LIVE,)}


@pytest.mark.parametrize(
    "line",
    ["not_json", "not_an_object", "missing_field", "naive_timestamp", "future_timestamp", "tenant_mismatch"],
)
def test_what_cannot_be_used_is_shown_with_its_reason(told: Told, line: str) -> None:
    assert any(f"refused    {line}: " in each for each in told.lines)


@pytest.mark.parametrize(
    "word",
    ["BLOCK ", "stuck ", "BLACKLIST ", "task ", "mail ", "api ", "platform ", "LIVE ", "archived ", "UNBLOCK ", "held ",
     "INCIDENT ", "GATE ", "COSTLY ", "CASE ", "ledger "],
)  # fmt: skip
def test_the_terminal_shows_it(told: Told, word: str) -> None:
    assert any(f"  {word}" in each for each in told.lines)


def test_metrics_console_and_api_show_it(told: Told) -> None:
    assert re.search(r"^breakwater_automations_blocked 1(\.0)?$", told.metrics_of_block, re.MULTILINE)
    assert re.search(r"^breakwater_workflows_blacklisted 1(\.0)?$", told.metrics_of_blacklisting, re.MULTILINE)
    assert "Renew the credentials for Salesforce" in told.tasks_page
    assert "ev_acme_lead_sync_revoked3_failure" in told.decision_page
    assert [each["id"] for each in told.blocked] == [cast.LEAD_SYNC.version_id]


def test_the_key_that_signs_tokens_is_shown_nowhere(told: Told) -> None:
    rows = [str(row) for table in tables.metadata.sorted_tables for row in told.all(table)]
    assert len(told.key) >= 32
    assert not [text for text in [*told.lines, *told.mails, *rows] if told.key in text]


def test_no_error_text_of_a_provider_reaches_a_row_or_a_mail(told: Told) -> None:
    shown = [*told.mails, *(str(row) for table in tables.metadata.sorted_tables for row in told.all(table))]
    assert len(shown) > 50
    texts = ("Token has been expired or revoked", "The access token is invalid", "The access token was revoked")
    assert not [text for text in shown if any(one in text for one in texts)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_all_of_it_and_it_starts_again(folder: Path, number: signal.Signals) -> None:
    with Demo(folder) as demo:
        demo.read_until("Console: ")
        with Demo(folder) as second:
            assert second.end() == 2
            assert "running" in second.lines[-1]
        assert demo.end(number) == 0, demo.lines
    assert processes_of(folder) == []
    assert list(folder.parent.iterdir()) == [folder]
    assert not list(Path(tempfile.gettempdir()).glob(f"breakwater-{demo.pid}-*"))


@pytest.mark.parametrize("moment", ["Starting PostgreSQL", "Migrating", "Starting the monitor"])
def test_it_can_be_ended_while_it_starts(folder: Path, moment: str) -> None:
    with Demo(folder) as demo:
        demo.read_until(moment)
        assert demo.end(signal.SIGTERM) == 0, demo.lines
    assert demo.lines[-1].startswith("Ended")
    assert not any("Traceback" in line for line in demo.lines), demo.lines
    assert processes_of(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="its children are told by the kernel there")
def test_killed_it_leaves_no_process(folder: Path) -> None:
    with Demo(folder) as demo:
        demo.read_until("Console: ")
        assert len(processes_of(folder)) > 2
        demo.end(signal.SIGKILL)
    wait_until_none_is_left(folder)
