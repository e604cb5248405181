"""A world in which tenant t2 has one of everything that an address can name, and everybody of t1 asks for it."""

from uuid import UUID, uuid5

import sqlalchemy as sa

from dataflows.decisions import Decision
from lifecycle import tables
from lifecycle.kinds import HoldKind
from lifecycle.statuses import Status
from tests.api.cross_tenant import Ids, Outcome, ask
from tests.api.given import apply
from tests.api.given import decision as decided
from tests.api.v1_given import EVERYTHING, running, staff_token, token
from tests.lifecycle.cases_given import incident

NOBODYS = str(uuid5(UUID(int=0), "nobody's"))


def ask_as_every_role(engine: sa.Engine, *, requests: int, seed: int) -> Outcome:
    """Run the comparison on a fresh database."""
    with running(engine) as (client, _, _platform):
        theirs: Decision = decided(
            "block of t2",
            tenant_id="t2",
            workflow_id="wf2",
            automation_version_id="v2",
            detail={"failed_systems": ["crm"]},
        )
        apply(engine, theirs)
        apply(engine, incident("SEV0", tenant_id="t2", workflow_id="wf2", automation_version_id="v2"))
        with engine.begin() as connection:
            hold = connection.execute(
                sa.insert(tables.holds)
                .values(
                    kind=HoldKind.BLAST_RADIUS,
                    tenant_id="t2",
                    decision_id=str(uuid5(UUID(int=0), "held")),
                    decision_kind="block_for_credentials",
                    request={},
                    occurred_at=sa.func.now(),
                )
                .returning(tables.holds.c.id)
            ).scalar_one()
            task = connection.execute(sa.select(tables.tasks.c.id).where(tables.tasks.c.tenant_id == "t2")).scalar()
            case = connection.execute(sa.select(tables.credit_cases.c.case_id)).scalar_one()
        assert isinstance(task, str)
        ids: Ids = {
            "version": ("v2", "v3"),
            "automation": ("a2", "a3"),
            "credential": ("c2", "c3"),
            "task": (task, NOBODYS),
            "hold": (hold, NOBODYS),
            "decision": (theirs.decision_id, NOBODYS),
            "credit_case": (case, "CASE-20260302-NOBODY"),
        }
        tokens = [*(token(role) for role in EVERYTHING), token(*EVERYTHING), staff_token(*EVERYTHING, tenants=["t1"])]
        return ask(client, engine, tokens, ids, [status.value for status in Status], requests=requests, seed=seed)
