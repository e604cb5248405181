"""Versions of the blacklist, and settings that change while everything runs."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_AUDIT_ACTIONS = (
    "update_status",
    "block_automation",
    "unblock_automation",
    "blacklist_workflow",
    "release_workflow",
    "create_task",
    "update_task",
    "deploy",
    "pause_workflow",
    "resume_workflow",
    "archive_automation",
    "manage_credentials",
    "provider_incident",
    "hold_decision",
    "end_hold",
    "staff_access",
)
_NEW_ACTION = "change_system_config"

#: Before the statement and not after it: whoever changes the blacklist has the version's row first, so two of them
#: can't wait for each other. The counter is nobody's own, so it is counted up with its owner's rights.
_COUNT = """
CREATE FUNCTION count_blacklist_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO blacklist_version AS v (id, version) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET version = v.version + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER blacklist_changes_are_counted BEFORE INSERT OR UPDATE OR DELETE ON workflow_blacklist
FOR EACH STATEMENT EXECUTE FUNCTION count_blacklist_version();
"""


def upgrade() -> None:
    """Make the tables, for the platform's staff alone; count versions."""
    op.create_table(
        "blacklist_version",
        sa.Column("id", sa.Integer(), server_default=sa.text("1"), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="there_is_one_blacklist"),
        sa.PrimaryKeyConstraint("id", name="blacklist_version_pkey"),
        comment="Counted up by a trigger with each statement that changes the blacklist; no row is version 0.",
    )
    op.create_table(
        "system_config",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.dialects.postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="system_config_pkey"),
        comment="Settings that are changed while everything runs. A missing one has its default.",
    )
    op.create_table(
        "system_config_versions",
        sa.Column(
            "version",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="of the policy; those of its file are below",
        ),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False, comment="event time from which it holds"),
        sa.Column("stuck_threshold", sa.Integer(), nullable=True, comment="null: as the policy file says"),
        sa.Column("stuck_window_minutes", sa.Integer(), nullable=True, comment="null: as the policy file says"),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.CheckConstraint("stuck_threshold >= 1", name="a_stuck_threshold_is_at_least_1"),
        sa.CheckConstraint(
            "stuck_window_minutes BETWEEN 1 AND 10080", name="a_stuck_window_is_between_a_minute_and_a_week"
        ),
        sa.PrimaryKeyConstraint("version", name="system_config_versions_pkey"),
        comment="Each write of the breaker's settings: the values that hold from an event time on.",
    )
    _protect("blacklist_version", "SELECT")
    _protect("system_config", "SELECT, INSERT, UPDATE, DELETE")
    _protect("system_config_versions", "SELECT, INSERT")
    op.execute(_COUNT)
    _set_actions(*_AUDIT_ACTIONS, _NEW_ACTION)


def downgrade() -> None:
    """Drop them, with what was audited of them."""
    op.execute("ALTER TABLE audit_logs DISABLE TRIGGER USER")
    op.execute(f"DELETE FROM audit_logs WHERE action_type = '{_NEW_ACTION}'")  # noqa: S608  (a word of our own)
    op.execute("ALTER TABLE audit_logs ENABLE TRIGGER USER")
    _set_actions(*_AUDIT_ACTIONS)
    op.execute("DROP TRIGGER blacklist_changes_are_counted ON workflow_blacklist")
    op.execute("DROP FUNCTION count_blacklist_version()")
    op.drop_table("system_config_versions")
    op.drop_table("system_config")
    op.drop_table("blacklist_version")


def _protect(table: str, rights: str) -> None:
    visible = "(SELECT current_setting('breakwater.tenants', true) = '*')"
    op.execute(f"GRANT {rights} ON {table} TO breakwater_api")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY rows_of_the_named_tenants ON {table} TO breakwater_api USING ({visible}) WITH CHECK ({visible})"
    )


def _set_actions(*words: str) -> None:
    op.drop_constraint("audit_action_is_known", "audit_logs")
    listed = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint("audit_action_is_known", "audit_logs", f"action_type IN ({listed})")
