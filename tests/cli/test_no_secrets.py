"""What run events say in confidence is found nowhere afterwards: no table, mail, event, page or log line (30.4)."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.embedded.smtp import SmtpSink
from config.settings import Smtp
from lifecycle import tables
from lifecycle.capabilities import Role
from lifecycle.change_status import change_status
from lifecycle.credential_unblocking import UnblockMode, request_unblock_for_credentials
from lifecycle.emails import SmtpSender
from lifecycle.kinds import Channel
from lifecycle.outbox import OutboxEvent
from lifecycle.results import NO_HINTS
from lifecycle.statuses import Status
from tests.api.given import browser
from tests.cli.test_run_services import IDS, run
from tests.given import denied, timed_out
from tests.lifecycle.credentials_given import given_credentials, somebody
from tests.lifecycle.given import rows, texts, version
from tests.lifecycle.worker import OPTIONS, run_jobs

#: One for each place, so that a find tells where it came from.
CANARIES = {
    place: f"canary-{place}-7f3Kq9Zx2LmV8wRt{number}"
    for number, place in enumerate(
        ("message", "code", "system", "payload", "header", "artifact", "block", "unblock", "note")
    )
}
CONFIDENTIAL = {
    "error_message": f"401: token {CANARIES['message']} was refused for user ada",
    "error_code": CANARIES["code"],
    "payload": {"password": CANARIES["payload"]},
    "headers": [f"Authorization: Bearer {CANARIES['header']}"],
    "artifacts_link": f"https://files.example/{CANARIES['artifact']}",
}


def test_what_events_and_reasons_say_in_confidence_is_found_nowhere(
    engine: sa.Engine, database_url: str, smtp_server: SmtpSink, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given_credentials(engine)
    lines = [
        *(denied(n, f"x{n}", CANARIES["system"], **IDS, **CONFIDENTIAL) for n in range(3)),
        *(denied(n, f"y{n}", "crm", **IDS, **CONFIDENTIAL) for n in range(3, 6)),
        *(timed_out(n, f"z{n}", **IDS, **CONFIDENTIAL) for n in range(6, 12)),
    ]
    monitor = run(tmp_path, database_url, lines)
    assert monitor.returncode == 0, monitor.stderr
    assert version(engine)["status"] == "Blocked"
    assert len(rows(engine, tables.workflow_blacklist)) == 1

    admin = somebody(Role.ADMIN)
    with engine.begin() as connection:
        request_unblock_for_credentials(
            connection,
            tenant_id="t1",
            automation_version_id="v1",
            actor_context=admin,
            mode=UnblockMode.OVERRIDE,
            reason=f"It works with api_key={CANARIES['unblock']} again",
            options=OPTIONS,
        )
    with engine.begin() as connection:
        change_status(
            connection,
            tenant_id="t1",
            automation_version_id="v1",
            requested=Status.BLOCKED,
            actor_context=admin,
            hints=NO_HINTS,
            blocked_reason=f"They sent us Authorization: Bearer {CANARIES['block']}",
            reason=f"password: {CANARIES['note']}",
            options=OPTIONS,
        )

    published: list[OutboxEvent] = []
    smtp = SmtpSender(Smtp(host=smtp_server.host, port=smtp_server.port))
    run_jobs(engine, {Channel.EMAIL: smtp}, publish=published.append)
    smtp.close()
    pages = ["/console/tasks", "/console/tasks?status=complete", "/console/tasks?status=cancelled"]
    pages += ["/console/decisions", "/console/blacklist", "/metrics"]
    pages += [f"/console/decisions/{one['decision_id']}" for one in rows(engine, tables.decisions)]
    with browser(database_url) as client:
        shown = {page: client.get(page) for page in pages}
    assert {page: answer.status_code for page, answer in shown.items() if answer.status_code != 200} == {}
    logged = capfd.readouterr()

    mails = [
        part.get_content() for mail in smtp_server.mails for part in mail.message.walk() if not part.is_multipart()
    ]
    assert len(mails) > 4
    assert len(published) == 3
    searched = {
        "tables": texts(engine),
        "mails": "\n".join([*mails, *(str(mail.message) for mail in smtp_server.mails)]),
        "events": str(published),
        "pages": "\n".join(answer.text for answer in shown.values()),
        "logs": monitor.stdout + monitor.stderr + logged.out + logged.err,
    }
    found = {
        (where, place)
        for where, text in searched.items()
        for place, canary in CANARIES.items()
        # However it was cut: the part that is drawn by lot is enough.
        if re.search(re.escape(canary[-16:]), text)
    }
    assert found == set()
    # The scanner finds what is there: what stands for the system, and what was typed besides.
    for words in ("a connected system", "They sent us Authorization: ***"):
        assert {where for where, text in searched.items() if words in text} >= {"tables", "mails"}
    assert "Nightly invoices" in searched["pages"]
