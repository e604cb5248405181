"""Which dead letters were fed in again: when, by whom, and where they went."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_COLUMNS = ("replayed_at", "replayed_by", "replayed_topic", "replayed_partition", "replayed_offset")


def upgrade() -> None:
    """Add the columns, empty for all there are, and the index of those that are not."""
    op.add_column("dead_letters", sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("dead_letters", sa.Column("replayed_by", sa.Text(), nullable=True))
    op.add_column("dead_letters", sa.Column("replayed_topic", sa.Text(), nullable=True))
    op.add_column("dead_letters", sa.Column("replayed_partition", sa.Integer(), nullable=True))
    op.add_column(
        "dead_letters",
        sa.Column(
            "replayed_offset",
            sa.BigInteger(),
            nullable=True,
            comment="where it was fed in last; a dead letter with that position came of it",
        ),
    )
    op.create_index(
        "replayed_dead_letters_by_place",
        "dead_letters",
        ["replayed_topic", "replayed_partition", "replayed_offset"],
        postgresql_where=sa.text("replayed_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Forget all replays."""
    op.drop_index("replayed_dead_letters_by_place", "dead_letters")
    for column in _COLUMNS:
        op.drop_column("dead_letters", column)
