"""Word of bindings that changed, for the processes that remember them."""

from alembic import op

revision = "0007"
down_revision = "0006"

#: More than a thousand rows in one statement are told of as one word, "everything".
_FUNCTIONS = """
CREATE FUNCTION tell_of_bindings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM changed) > 1000 THEN
        PERFORM pg_notify('registry_changes', '');
    ELSE
        PERFORM pg_notify('registry_changes', automation_version_id) FROM changed;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION tell_of_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('registry_changes', OLD.id);
    RETURN NULL;
END $$;
"""

#: Of an update the versions before and after: a binding may go to another one. What is new has nobody remembered.
_OF_BINDINGS = {
    "made_bindings_are_told": ("INSERT", "NEW"),
    "changed_bindings_are_told": ("UPDATE", "NEW"),
    "left_bindings_are_told": ("UPDATE", "OLD"),
    "ended_bindings_are_told": ("DELETE", "OLD"),
}


def upgrade() -> None:
    """Tell of bindings, and of versions that change hands or end."""
    op.execute(_FUNCTIONS)
    for name, (event, rows) in _OF_BINDINGS.items():
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} ON workflow_bindings REFERENCING {rows} TABLE AS changed"
            " FOR EACH STATEMENT EXECUTE FUNCTION tell_of_bindings()"
        )
    op.execute(
        "CREATE TRIGGER changed_owners_are_told AFTER UPDATE ON automation_versions FOR EACH ROW"
        " WHEN ((OLD.id, OLD.tenant_id) IS DISTINCT FROM (NEW.id, NEW.tenant_id))"
        " EXECUTE FUNCTION tell_of_version()"
    )
    op.execute(
        "CREATE TRIGGER ended_versions_are_told AFTER DELETE ON automation_versions FOR EACH ROW"
        " EXECUTE FUNCTION tell_of_version()"
    )


def downgrade() -> None:
    """Say nothing any more."""
    for name in _OF_BINDINGS:
        op.execute(f"DROP TRIGGER {name} ON workflow_bindings")
    for name in ("changed_owners_are_told", "ended_versions_are_told"):
        op.execute(f"DROP TRIGGER {name} ON automation_versions")
    op.execute("DROP FUNCTION tell_of_bindings(), tell_of_version()")
