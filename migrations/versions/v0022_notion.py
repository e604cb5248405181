"""Which pages are in Notion, how far it was read, and what fails there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022"
down_revision = "0021"

_VISIBLE = {
    "notion_pages": (
        "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
        " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
        " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
    ),
    # How Notion as a whole is doing is the platform's.
    "notion_cursors": "(SELECT current_setting('breakwater.tenants', true) = '*')",
    "notion_outages": "(SELECT current_setting('breakwater.tenants', true) = '*')",
}


def upgrade() -> None:
    """Make the tables; the worker writes them, the API reads them."""
    op.create_table(
        "notion_cursors",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="the tenant, or the database"),
        sa.Column("seq", sa.BigInteger(), nullable=True, comment="of the ledger's row that was looked at last"),
        sa.Column(
            "edited_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the newest change that was read, by Notion's clock",
        ),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('runs', 'stages')", name="notion_cursor_is_known"),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("notion_cursors_pkey")),
        comment="How far what is read in order has come.",
    )
    op.create_table(
        "notion_outages",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False, comment="of the last failure: our word, or Notion's code"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="in a row"),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_alone_until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("part IN ('api', 'case', 'task', 'receipt', 'review', 'run')", name="failing_part_is_known"),
        sa.PrimaryKeyConstraint("part", name=op.f("notion_outages_pkey")),
        comment="Parts of Notion whose last requests failed; one that works has no row.",
    )
    op.create_table(
        "notion_pages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("page_id", sa.Text(), nullable=True, comment="Notion's; null: there is none yet, or nobody knows"),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column(
            "object_version",
            sa.BigInteger(),
            nullable=True,
            comment="what of the object the page shows; null: nothing yet",
        ),
        sa.Column("digest", sa.String(length=64), nullable=True, comment="of what was written last; null: nothing yet"),
        sa.Column(
            "seen", JSONB(), nullable=True, comment="what people may change there too, as it was written or read last"
        ),
        sa.Column(
            "attempt_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was asked for; null once the outcome is known",
        ),
        sa.Column("locked_at", sa.DateTime(timezone=True), nullable=True, comment="when it was made read-only"),
        sa.Column("refused_code", sa.Text(), nullable=True, comment="Notion's; null: it was not refused"),
        sa.Column(
            "tries", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="in vain, one after another"
        ),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True, comment="when it may be tried again"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('case', 'task', 'receipt', 'review', 'run')", name="page_kind_is_known"),
        sa.CheckConstraint("page_id IS NULL OR attempt_at IS NULL", name="a_page_that_is_known_is_not_uncertain"),
        sa.PrimaryKeyConstraint("id", name=op.f("notion_pages_pkey")),
        sa.UniqueConstraint(
            "kind", "object_id", "tenant_id", name="an_object_has_one_page", postgresql_nulls_not_distinct=True
        ),
        sa.UniqueConstraint("page_id", name="a_page_is_of_one_object"),
        comment="The page of each object. The row is committed before the page is asked for.",
    )
    op.create_index(
        "pages_to_write", "notion_pages", ["kind", "not_before"], postgresql_where=sa.text("digest IS NULL")
    )
    for table, visible in _VISIBLE.items():
        op.execute(f"GRANT SELECT ON {table} TO breakwater_api")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY rows_of_the_named_tenants ON {table} TO breakwater_api USING ({visible})")


def downgrade() -> None:
    """Drop them; the pages in Notion stay."""
    for table in _VISIBLE:
        op.drop_table(table)
