"""Tasks that gather spend anomalies of one tenant and kind, and the decisions that each tells of."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

_VISIBLE = (
    "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)

#: A task of before was made for one anomaly, which it tells of; others may join it from now on.
_FILL = """
INSERT INTO task_decisions (tenant_id, task_id, decision_id)
SELECT t.tenant_id, t.id, d.decision_id
FROM tasks t JOIN decisions d ON d.decision_id = t.decision_id
WHERE t.tenant_id IS NOT NULL AND d.kind = 'spend_anomaly' AND t.idempotency_key = 'spend_anomaly:' || d.decision_id
"""
_GATHER = """
UPDATE tasks t SET gathers = d.reason_code
FROM task_decisions j JOIN decisions d ON d.decision_id = j.decision_id
WHERE j.task_id = t.id
"""


def upgrade() -> None:
    """Make column, table and constraints, and fill them; the API reads what joined."""
    op.add_column(
        "tasks",
        sa.Column(
            "gathers",
            sa.Text(),
            nullable=True,
            comment="spend anomalies of this kind join it while it is open; null: none do",
        ),
    )
    op.create_check_constraint("what_a_task_gathers_is_known", "tasks", "gathers IN ('spend_burst', 'spend_drift')")
    op.create_unique_constraint("a_task_is_found_by_tenant_and_id", "tasks", ["tenant_id", "id"])
    op.create_index(
        "tasks_that_gather",
        "tasks",
        ["tenant_id", "gathers"],
        postgresql_where=sa.text("gathers IS NOT NULL AND status IN ('pending', 'in_progress')"),
    )
    op.create_table(
        "task_decisions",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("task_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name="what_joins_a_task_was_decided"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "task_id"], ["tasks.tenant_id", "tasks.id"], name="a_decision_joins_a_task_of_its_tenant"
        ),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("task_decisions_pkey")),
        comment="What tasks that gather tell of: each decision in one task.",
    )
    op.create_index("task_decisions_by_task", "task_decisions", ["task_id"])
    op.execute("GRANT SELECT ON task_decisions TO breakwater_api")
    op.execute("ALTER TABLE task_decisions ENABLE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY rows_of_the_named_tenants ON task_decisions TO breakwater_api"
        f" USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
    )
    op.execute(_FILL)
    op.execute(_GATHER)


def downgrade() -> None:
    """Forget what joined; the tasks stay."""
    op.drop_table("task_decisions")
    op.drop_index("tasks_that_gather", "tasks")
    op.drop_constraint("a_task_is_found_by_tenant_and_id", "tasks")
    op.drop_constraint("what_a_task_gathers_is_known", "tasks")
    op.drop_column("tasks", "gathers")
