"""What is in Notion: which page is whose, how far it was read, and what fails there (50.5)."""

import sqlalchemy as sa

from lifecycle.notion.kinds import NotionCursor, NotionKind, NotionPart
from lifecycle.tables.columns import Json, Time, metadata, now, one_of, tenant, word
from lifecycle.tables.credits import Hash

notion_pages = sa.Table(
    "notion_pages",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    tenant(nullable=True),
    word("kind"),
    sa.Column("object_id", sa.Text, nullable=False),
    sa.Column("page_id", sa.Text, comment="Notion's; null: there is none yet, or nobody knows"),
    sa.Column("url", sa.Text),
    sa.Column("object_version", sa.BigInteger, comment="what of the object the page shows; null: nothing yet"),
    sa.Column("digest", Hash, comment="of what was written last; null: nothing yet"),
    sa.Column("seen", Json, comment="what people may change there too, as it was written or read last"),
    sa.Column("attempt_at", Time, comment="when it was asked for; null once the outcome is known"),
    sa.Column("locked_at", Time, comment="when it was made read-only"),
    sa.Column("refused_code", sa.Text, comment="Notion's; null: it was not refused"),
    sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0"), comment="in vain, one after another"),
    sa.Column("not_before", Time, comment="when it may be tried again"),
    now("created_at"),
    now("updated_at"),
    one_of("kind", NotionKind, "page_kind_is_known"),
    # No foreign key: runs of tenants that are not known have pages too.
    sa.UniqueConstraint(
        "kind", "object_id", "tenant_id", name="an_object_has_one_page", postgresql_nulls_not_distinct=True
    ),
    sa.UniqueConstraint("page_id", name="a_page_is_of_one_object"),
    sa.CheckConstraint("page_id IS NULL OR attempt_at IS NULL", name="a_page_that_is_known_is_not_uncertain"),
    sa.Index("pages_to_write", "kind", "not_before", postgresql_where=sa.text("digest IS NULL")),
    comment="The page of each object. The row is committed before the page is asked for.",
)

notion_cursors = sa.Table(
    "notion_cursors",
    metadata,
    word("kind"),
    sa.Column("key", sa.Text, nullable=False, comment="the tenant, or the database"),
    sa.Column("seq", sa.BigInteger, comment="of the ledger's row that was looked at last"),
    sa.Column("edited_at", Time, comment="the newest change that was read, by Notion's clock"),
    now("moved_at"),
    sa.PrimaryKeyConstraint("kind", "key"),
    one_of("kind", NotionCursor, "notion_cursor_is_known"),
    comment="How far what is read in order has come.",
)

notion_outages = sa.Table(
    "notion_outages",
    metadata,
    sa.Column("part", sa.Text, primary_key=True),
    sa.Column("fault", sa.Text, nullable=False, comment="of the last failure: our word, or Notion's code"),
    sa.Column("failures", sa.Integer, nullable=False, comment="in a row"),
    sa.Column("failing_since", Time, nullable=False),
    sa.Column("left_alone_until", Time, nullable=False),
    one_of("part", NotionPart, "failing_part_is_known"),
    comment="Parts of Notion whose last requests failed; one that works has no row.",
)
