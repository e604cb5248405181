"""Many writers on four versions of one automation: random operations, and what must hold of their history (30.2).

    python -m benchmarks.concurrency [--writers 64] [--operations 10000]

A PostgreSQL server of its own, with fsync on. Ends with an error when the history is no legal path.
"""

import argparse
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from cli.embedded.postgres import EmbeddedPostgres
from lifecycle import tables
from lifecycle.actors import MONITOR, ActorContext
from lifecycle.blocking import request_block_for_credentials
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.change_status import change_status
from lifecycle.credential_unblocking import UnblockMode, request_unblock_for_credentials
from lifecycle.errors import LifecycleError
from lifecycle.ids import stable_id
from lifecycle.migrate import migrate
from lifecycle.options import LifecycleOptions
from lifecycle.results import NO_HINTS
from lifecycle.seed import seed
from lifecycle.statuses import Operation, Status, find_transition

ADMIN = ActorContext.of_user("u1", "benchmark", CAPABILITIES[Role.ADMIN])
OPTIONS = LifecycleOptions()
VERSIONS = {"w1": Status.LIVE, "w2": Status.PAUSED, "w3": Status.PAUSED, "w4": Status.BUILD_IN_PROGRESS}
SYSTEMS = ("crm", "mail")

#: Asked of any version at random, whether it fits or not.
WANTED = (Status.LIVE, Status.PAUSED, Status.BLOCKED, Status.QA_AND_TESTING, Status.BUILD_IN_PROGRESS)


def main() -> None:
    """Let the writers loose, check, and print one line for each kind of answer."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--writers", type=int, default=64)
    options.add_argument("--operations", type=int, default=10_000)
    chosen = options.parse_args()
    with EmbeddedPostgres() as server:
        server.create_database("storm")
        migrate(server.url("storm"))
        engine = sa.create_engine(server.url("storm"), pool_size=chosen.writers)
        given_versions(engine)
        began = time.monotonic()
        answers = storm(engine, writers=chosen.writers, operations=chosen.operations)
        seconds = time.monotonic() - began
        steps = check_history(engine)
        engine.dispose()
    print(f"{chosen.operations} operations of {chosen.writers} writers in {seconds:.1f} s, {steps} moves, legal all")
    for answer, count in answers.most_common():
        print(f"{count:8} {answer}")


def given_versions(engine: sa.Engine) -> None:
    """Four versions of one automation, one of them Live."""
    with engine.begin() as connection:
        seed(
            connection,
            {
                "tenants": [{"id": "t1", "name": "Acme"}],
                "systems": [{"system_key": key, "provider": key, "display_name": key} for key in SYSTEMS],
                "automations": [{"id": "a1", "tenant_id": "t1", "name": "Invoice sync"}],
                "automation_versions": [
                    {"id": one, "tenant_id": "t1", "automation_id": "a1", "version": number, "status": status}
                    for number, (one, status) in enumerate(VERSIONS.items(), 1)
                ],
                "projects": [
                    {"id": f"p-{one}", "tenant_id": "t1", "automation_version_id": one, "name": one, "status": "Live"}
                    for one in VERSIONS
                ],
                "project_artifacts": [
                    {"tenant_id": "t1", "project_id": "p-w4", "kind": kind, "name": kind, "location": "-"}
                    for kind in ("artifact", "runbook")
                ],
                "tasks": [
                    {
                        "tenant_id": "t1", "project_id": "p-w4", "context_type": "project", "context_id": "p-w4",
                        "kind": "build_checklist", "title": "Build", "status": "complete",
                        "completed_at": "2026-01-05T10:00:00Z",
                    }
                ],
            },
        )  # fmt: skip


def storm(engine: sa.Engine, *, writers: int, operations: int) -> Counter[str]:
    """Let threads ask for this and that at once; how often each answer was given.

    An answer is `done`, `already`, or the code of a refusal; any other error is raised.
    """

    def write(number: int) -> Counter[str]:
        choice = random.Random(number)
        count = operations // writers + (number < operations % writers)
        return Counter(_attempt(engine, choice, f"{number}-{step}") for step in range(count))

    with ThreadPoolExecutor(writers) as pool:
        return sum(pool.map(write, range(writers)), Counter())


def _attempt(engine: sa.Engine, choice: random.Random, name: str) -> str:
    version_id = choice.choice(list(VERSIONS))
    ask = choice.choices((_change, _block, _unblock), (6, 1, 1))[0]
    try:
        with engine.begin() as connection:
            return ask(connection, version_id, choice, name)
    except LifecycleError as refused:
        return refused.code


def _change(connection: sa.Connection, version_id: str, choice: random.Random, name: str) -> str:
    result = change_status(
        connection, tenant_id="t1", automation_version_id=version_id, requested=choice.choice(WANTED),
        actor_context=ADMIN, hints=NO_HINTS, reason=f"Attempt {name}", override=True, options=OPTIONS,
    )  # fmt: skip
    return "already" if result.already_applied else "done"


def _block(connection: sa.Connection, version_id: str, choice: random.Random, name: str) -> str:
    result = request_block_for_credentials(
        connection, tenant_id="t1", automation_version_id=version_id, actor_context=MONITOR,
        failed_systems=choice.sample(SYSTEMS, choice.randint(1, 2)), policy_id="auth_failures",
        decision_id=str(stable_id("storm", name)), options=OPTIONS,
    )  # fmt: skip
    return result.outcome.value


def _unblock(connection: sa.Connection, version_id: str, _choice: random.Random, name: str) -> str:
    result = request_unblock_for_credentials(
        connection, tenant_id="t1", automation_version_id=version_id, actor_context=ADMIN,
        mode=UnblockMode.OVERRIDE, reason=f"Attempt {name}", options=OPTIONS,
    )  # fmt: skip
    if result.already_applied:
        return "already"
    # A block by hand may hold on when the credentials do not.
    return "partly" if result.automation_version.status is Status.BLOCKED else "done"


def check_history(engine: sa.Engine) -> int:
    """Fail unless every version's history is a legal path to where it is, with never two Live; the number of moves."""
    history = tables.automation_versions_status_history
    with engine.connect() as connection:
        moves = connection.execute(sa.select(history).order_by(history.c.id)).all()
        stored = dict(
            connection.execute(sa.select(tables.automation_versions.c.id, tables.automation_versions.c.status)).all()
        )
        audited = connection.execute(
            sa.select(sa.func.count()).where(tables.audit_logs.c.action_type == "update_status")
        ).scalar_one()
        events = connection.execute(
            sa.select(sa.func.count()).where(tables.outbox_events.c.type == "automation_status_changed")
        ).scalar_one()
        open_reasons = set(
            connection.execute(
                sa.select(tables.block_reasons.c.automation_version_id).where(
                    tables.block_reasons.c.cleared_at.is_(None)
                )
            ).scalars()
        )
    where: dict[str, str] = {}
    blocked_from: dict[str, str] = {}
    for move in moves:
        one = move.automation_version_id
        if move.from_status is None:
            where[one] = move.to_status
            continue
        assert where[one] == move.from_status, move
        back = move.from_status == Status.BLOCKED and move.to_status == blocked_from[one]
        target = None if back else Status(move.to_status)
        assert find_transition(Operation(move.operation), Status(move.from_status), target), move
        if move.to_status == Status.BLOCKED:
            blocked_from[one] = move.from_status
        where[one] = move.to_status
        assert list(where.values()).count(Status.LIVE) <= 1, move
    assert where == stored
    assert open_reasons == {one for one, status in stored.items() if status == Status.BLOCKED}
    steps = len(moves) - len(stored)
    assert audited == events == steps
    return steps


if __name__ == "__main__":
    main()
