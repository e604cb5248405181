"""Find what Notion is looked through for: tasks of evidence hygiene, and the runs of SEV0 cases."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Make the indexes; each has a small part of its table."""
    op.create_index(
        "hygiene_tasks_by_time",
        "tasks",
        ["created_at", "id"],
        postgresql_where=sa.text("kind = 'evidence_hygiene'"),
    )
    op.create_index(
        "case_runs_of_the_worst", "credit_case_runs", ["joined_at"], postgresql_where=sa.text("severity = 'SEV0'")
    )


def downgrade() -> None:
    """Look through all of both again."""
    op.drop_index("case_runs_of_the_worst", "credit_case_runs")
    op.drop_index("hygiene_tasks_by_time", "tasks")
