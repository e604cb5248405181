"""The job queue's own schema: procrastinate 3.10.0 as it ships it (MIT licence), kept here so that it stays as it is.

A newer version of the library comes with migrations of its own, which become revisions after this one.
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"

_SQL = Path(__file__).with_name("procrastinate_3_10_0.sql")

_DROP_EVERYTHING = """
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT tablename FROM pg_tables
        WHERE schemaname = current_schema() AND tablename LIKE 'procrastinate\\_%' LOOP
        EXECUTE format('DROP TABLE %I CASCADE', found.tablename);
    END LOOP;
    FOR found IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'procrastinate\\_%' LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', found.signature);
    END LOOP;
    FOR found IN SELECT typname FROM pg_type
        WHERE typnamespace = current_schema()::regnamespace AND typname LIKE 'procrastinate\\_%' LOOP
        EXECUTE format('DROP TYPE %I CASCADE', found.typname);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    """Make the queue. The driver runs the file: it has many statements, and signs that others would read."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(_SQL.read_text("utf-8"))


def downgrade() -> None:
    """Drop all of it."""
    op.execute(_DROP_EVERYTHING)
