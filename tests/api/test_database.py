"""The API's connections outlive a database that went away and came back."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from api.database import Database


def end_all_sessions_but_ours(engine: sa.Engine) -> int:
    """As a restart of the server does; how many there were."""
    with engine.begin() as connection:
        ended = connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'breakwater-api' AND datname = current_database()"
            )
        )
        return len(ended.all())


def test_a_connection_that_was_left_behind_is_noticed_before_it_is_used(engine: sa.Engine) -> None:
    database = Database(engine.url.render_as_string(hide_password=False), trusted=timedelta(0))
    with database.read(), database.write():
        pass
    assert end_all_sessions_but_ours(engine) == 2
    for _ in range(2):
        with database.read() as reading, database.write() as writing:
            assert (reading.scalar(sa.text("SELECT 1")), writing.scalar(sa.text("SELECT 2"))) == (1, 2)
    database.close()


def test_one_that_was_used_a_moment_ago_fails_once_at_most(engine: sa.Engine) -> None:
    database = Database(engine.url.render_as_string(hide_password=False), trusted=timedelta(hours=1))
    with database.read(), database.write():
        pass
    assert end_all_sessions_but_ours(engine) == 2
    with pytest.raises(sa.exc.OperationalError), database.read() as connection:
        connection.execute(sa.text("SELECT 1"))
    with database.read() as reading, database.write() as writing:
        assert (reading.scalar(sa.text("SELECT 1")), writing.scalar(sa.text("SELECT 2"))) == (1, 2)
    database.close()


def test_a_read_refuses_to_write(engine: sa.Engine) -> None:
    database = Database(engine.url.render_as_string(hide_password=False))
    with pytest.raises(sa.exc.InternalError), database.read() as connection:
        connection.execute(sa.text("UPDATE tenants SET name = 'other'"))
    database.close()
