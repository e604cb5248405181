"""Records of what was asked for by hand and by webhooks, beside what the calendar asked for; which reviews are archived."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

_OLD_JOBS = ("update_baselines", "weekly_review")
_ORIGINS = ("calendar", "by_hand", "webhook")


def upgrade() -> None:
    """Tell the origins apart; a tick is one run of the calendar's alone."""
    op.add_column(
        "credit_job_runs", sa.Column("origin", sa.Text(), server_default=sa.text("'calendar'"), nullable=False)
    )
    op.add_column(
        "credit_job_runs",
        sa.Column(
            "asked_by", sa.Text(), nullable=True, comment="who ran a command, or which sender; null: the calendar"
        ),
    )
    op.add_column(
        "credit_job_runs",
        sa.Column(
            "request_key", sa.Text(), nullable=True, comment="of a webhook: the same request again is another try"
        ),
    )
    op.drop_constraint("credit_job_is_known", "credit_job_runs")
    op.create_check_constraint("credit_job_is_known", "credit_job_runs", f"job IN ({_listed((*_OLD_JOBS, 'log'))})")
    op.create_check_constraint("credit_job_origin_is_known", "credit_job_runs", f"origin IN ({_listed(_ORIGINS)})")
    op.create_check_constraint(
        "what_nobody_asked_for_is_the_calendar_s", "credit_job_runs", "(origin = 'calendar') = (asked_by IS NULL)"
    )
    op.drop_constraint("one_run_a_tick", "credit_job_runs")
    op.create_index(
        "one_run_a_tick",
        "credit_job_runs",
        ["job", "tick"],
        unique=True,
        postgresql_where=sa.text("origin = 'calendar'"),
    )
    op.create_index(
        "one_record_a_request",
        "credit_job_runs",
        ["request_key"],
        unique=True,
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
    op.create_index("job_runs_by_time", "credit_job_runs", ["started_at"])
    op.execute(
        "COMMENT ON TABLE credit_job_runs IS 'What ran by the calendar, one row a tick however many workers there are;"
        " by hand; and for webhooks.'"
    )
    op.add_column(
        "credit_reviews",
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True, comment="null: not in the archive (yet)"),
    )


def downgrade() -> None:
    """Forget what the calendar did not ask for."""
    op.drop_column("credit_reviews", "archived_at")
    for index in ("job_runs_by_time", "one_record_a_request", "one_run_a_tick"):
        op.drop_index(index, "credit_job_runs")
    op.execute("DELETE FROM credit_job_runs WHERE origin <> 'calendar'")
    op.create_unique_constraint("one_run_a_tick", "credit_job_runs", ["job", "tick"])
    for check in ("what_nobody_asked_for_is_the_calendar_s", "credit_job_origin_is_known", "credit_job_is_known"):
        op.drop_constraint(check, "credit_job_runs")
    op.create_check_constraint("credit_job_is_known", "credit_job_runs", f"job IN ({_listed(_OLD_JOBS)})")
    for column in ("request_key", "asked_by", "origin"):
        op.drop_column("credit_job_runs", column)
    op.execute(
        "COMMENT ON TABLE credit_job_runs IS 'What ran by the calendar, one row a tick however many workers there are.'"
    )


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)
