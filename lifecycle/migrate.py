"""Bring a database to the schema that the code expects."""

from collections.abc import Callable
from importlib.resources import files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the database at `url`; nothing happens when it is there already.

    Safe to run from several processes at once: one migrates, the others wait and find nothing to do.
    Raises SQLAlchemy's errors; a revision that fails leaves the one before it.
    """
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Take revisions back down to `revision`; `base` leaves nothing. Loses the data of what it drops."""
    _run(url, lambda config: command.downgrade(config, revision))


def current_revision(connection: sa.Connection) -> str | None:
    """The revision that a database is at, None before the first."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """The revision that the code expects."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _run(url: str, step: Callable[[Config], None]) -> None:
    config = _config()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            step(config)
    finally:
        engine.dispose()
