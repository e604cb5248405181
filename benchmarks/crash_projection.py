"""What two runs over the same events must have in common: the tables without generated ids and clock times.

Every table of the lifecycle is compared, row by row and column by column, but for what is named here
(docs/crash-test.md says why).
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from cli.embedded.smtp import ReceivedMail
from lifecycle import tables
from lifecycle.kinds import Template

#: Columns with the clock of the database, or numbers that it gives away, whatever table they are in.
_CLOCK = frozenset(
    {
        "created_at", "updated_at", "recorded_at", "attempted_at", "delivered_at", "published_at",
        "opened_at", "changed_at", "status_changed_at", "blocked_at", "blacklisted_at", "not_before",
    }
)  # fmt: skip

#: What else differs from run to run, by table.
_DRAWN = {
    "audit_logs": {"id"},
    "automation_versions_status_history": {"id", "sequence"},
    "dead_letters": {"id"},
    # How often a mail was tried before it was taken.
    "deliveries": {"id", "attempt"},
    # Ids of contacts and bindings are drawn when the world is made.
    "contacts": {"id"},
    "workflow_bindings": {"id"},
    # The id of a status event contains its time; both stand in the payload too.
    "outbox_events": {"event_id", "occurred_at", "sequence"},
}
#: Runs of jobs that the calendar asks for: which ticks fall into a run depends on when it was.
_OF_THE_CALENDAR = frozenset({"credit_job_runs"})
_DRAWN_IN_PAYLOAD = ("event_id", "occurred_at")
#: What people are told of a block names the time of its commit; a silence, that of a run.
_TOLD_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
_TEMPLATES_WITH_CLOCK = frozenset(Template) - {Template.SILENCE}

Projection = Mapping[str, Counter[str]]


def project(engine: sa.Engine) -> Projection:
    """By table, the rows that count, each as one line of JSON, and how often it stands there."""
    with engine.connect() as connection:
        return {
            table.name: Counter(_line(table, row) for row in connection.execute(sa.select(table)).mappings())
            for table in tables.metadata.sorted_tables
            if table.name not in _OF_THE_CALENDAR
        }


def differences(one: Projection, other: Projection) -> list[str]:
    """A line for each row that only one of them has, or has more often."""
    return [
        f"{table}: {sign} {line}"
        for table in one
        for sign, rows in (("-", one[table] - other[table]), ("+", other[table] - one[table]))
        for line in sorted(rows.elements())
    ]


def project_mails(mails: list[ReceivedMail]) -> Counter[str]:
    """By Message-ID, recipient and subject, how often a mail arrived."""
    return Counter(
        json.dumps([mail.message["Message-ID"], *mail.recipients, mail.message["Subject"]]) for mail in mails
    )


def _line(table: sa.Table, row: Mapping[Any, Any]) -> str:
    left_out = _CLOCK | _DRAWN.get(table.name, frozenset())
    kept = {name: value for name, value in row.items() if name not in left_out}
    if "payload" in kept:
        kept["payload"] = {name: one for name, one in kept["payload"].items() if name not in _DRAWN_IN_PAYLOAD}
    line = json.dumps(kept, sort_keys=True, default=str)
    return _TOLD_TIME.sub("(time)", line) if kept.get("template") in _TEMPLATES_WITH_CLOCK else line
