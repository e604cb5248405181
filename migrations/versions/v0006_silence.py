"""The notice of a silence."""

from alembic import op

revision = "0006"
down_revision = "0005"

_KNOWN = ("automation_blocked", "credentials_failed_critical", "workflow_blacklisted")


def upgrade() -> None:
    """Let notices of silences in."""
    _set_templates((*_KNOWN, "silence"))


def downgrade() -> None:
    """Take them out again, with what was sent."""
    op.execute("DELETE FROM notifications WHERE template = 'silence'")
    _set_templates(_KNOWN)


def _set_templates(names: tuple[str, ...]) -> None:
    op.drop_constraint("notification_template_is_known", "notifications")
    listed = ", ".join(f"'{name}'" for name in names)
    op.create_check_constraint("notification_template_is_known", "notifications", f"template IN ({listed})")
