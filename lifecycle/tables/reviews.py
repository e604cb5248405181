"""What follows from the ledger by the calendar: approved baselines, weekly reviews, and the jobs that make them."""

import sqlalchemy as sa

from lifecycle.kinds import BaselineOrigin, BaselineStatus, CreditJob, JobOrigin, JobOutcome
from lifecycle.tables.columns import Time, metadata, new_uuid, now, of_a_tenant, one_of, quoted, tenant, word
from lifecycle.tables.credits import Hash

credit_baselines = sa.Table(
    "credit_baselines",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("scenario", sa.String(240), nullable=False),
    sa.Column("job_type", sa.Text),
    sa.Column("median_credits", sa.Numeric, nullable=False),
    sa.Column("previous_credits", sa.Numeric, comment="what was approved before; null: nothing"),
    sa.Column("measured_credits", sa.Numeric, comment="the median itself, before its move was limited"),
    sa.Column("sample_size", sa.Integer, nullable=False, comment="healthy runs used"),
    sa.Column("calculated_at", Time, nullable=False, comment="event time that its window ends at"),
    sa.Column("effective_at", Time, comment="event time from which on it holds; null: not in force yet, or never"),
    sa.Column("ended_at", Time, comment="event time at which another took its place, or it was decided against"),
    word("status"),
    word("origin"),
    sa.Column("decided_by", sa.Text, nullable=False),
    now("created_at"),
    of_a_tenant("a_baseline_is_of_a_tenant"),
    one_of("status", BaselineStatus, "baseline_status_is_known"),
    one_of("origin", BaselineOrigin, "baseline_origin_is_known"),
    sa.CheckConstraint("median_credits >= 0 AND sample_size >= 0", name="a_baseline_is_not_negative"),
    sa.CheckConstraint(
        f"(status = '{BaselineStatus.CURRENT.value}') = (effective_at IS NOT NULL AND ended_at IS NULL)",
        name="a_current_baseline_is_in_force",
    ),
    sa.Index(
        "one_current_and_one_proposed_baseline_a_scenario",
        "tenant_id",
        "scenario",
        "status",
        unique=True,
        postgresql_where=sa.text(f"status IN ({quoted((BaselineStatus.CURRENT, BaselineStatus.PROPOSED))})"),
    ),
    sa.Index("baselines_by_scenario", "tenant_id", "scenario", "effective_at"),
    comment="All that ever were approved or proposed.",
)

credit_reviews = sa.Table(
    "credit_reviews",
    metadata,
    new_uuid(),
    tenant(nullable=True),
    sa.Column("iso_week", sa.Text, nullable=False, comment="2026-W04"),
    sa.Column("revision", sa.Integer, nullable=False, comment="from 1 on"),
    sa.Column("period_start", Time, nullable=False),
    sa.Column("period_end", Time, nullable=False),
    sa.Column("total_credits", sa.Numeric, nullable=False),
    sa.Column("total_runs", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False, comment="the report, JSON, byte for byte as in its file"),
    sa.Column("sha256", Hash, nullable=False, comment="of the document"),
    sa.Column("made_by", sa.Text, nullable=False),
    now("created_at"),
    sa.Column("archived_at", Time, comment="null: not in the archive (yet)"),
    of_a_tenant("a_review_is_of_a_tenant"),
    sa.UniqueConstraint(
        "tenant_id", "iso_week", "revision", name="one_review_a_revision", postgresql_nulls_not_distinct=True
    ),
    sa.CheckConstraint("revision >= 1", name="revisions_begin_at_one"),
    comment="A null tenant is all of them together. A rerun adds a revision.",
)

credit_job_runs = sa.Table(
    "credit_job_runs",
    metadata,
    new_uuid(),
    word("job"),
    sa.Column("tick", Time, nullable=False, comment="when it was due"),
    sa.Column("tries", sa.Integer, nullable=False),
    word("outcome"),
    sa.Column("error", sa.Text, comment="the kind of the last error, never its words"),
    sa.Column("made", sa.Integer, comment="baselines changed, or reports written"),
    sa.Column("started_at", Time, nullable=False, comment="of the last try"),
    sa.Column("ended_at", Time),
    sa.Column("leased_until", Time, nullable=False, comment="a try that runs longer has died"),
    word("origin", JobOrigin.CALENDAR),
    sa.Column("asked_by", sa.Text, comment="who ran a command, or which sender; null: the calendar"),
    sa.Column("request_key", sa.Text, comment="of a webhook: the same request again is another try"),
    one_of("job", CreditJob, "credit_job_is_known"),
    one_of("origin", JobOrigin, "credit_job_origin_is_known"),
    one_of("outcome", JobOutcome, "credit_job_outcome_is_known"),
    sa.CheckConstraint(
        f"(origin = '{JobOrigin.CALENDAR.value}') = (asked_by IS NULL)",
        name="what_nobody_asked_for_is_the_calendar_s",
    ),
    sa.Index(
        "one_run_a_tick",
        "job",
        "tick",
        unique=True,
        postgresql_where=sa.text(f"origin = '{JobOrigin.CALENDAR.value}'"),
    ),
    sa.Index("one_record_a_request", "request_key", unique=True, postgresql_where=sa.text("request_key IS NOT NULL")),
    sa.Index("job_runs_by_time", "started_at"),
    sa.CheckConstraint(
        f"(outcome = '{JobOutcome.RUNNING.value}') = (ended_at IS NULL)", name="a_credit_job_that_ended_has_an_outcome"
    ),
    comment="What ran by the calendar, one row a tick however many workers there are; by hand; and for webhooks.",
)
