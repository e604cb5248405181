"""64 writers at once on four versions of one automation (30.2)."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from benchmarks.concurrency import check_history, given_versions, storm

OPERATIONS = 2000


@pytest.fixture
def pooled(database_url: str) -> Iterator[sa.Engine]:
    """A connection for each of the writers."""
    made = sa.create_engine(database_url, pool_size=64)
    yield made
    made.dispose()


def test_the_history_of_many_writers_is_a_legal_path(pooled: sa.Engine) -> None:
    given_versions(pooled)
    answers = storm(pooled, writers=64, operations=OPERATIONS)
    assert sum(answers.values()) == OPERATIONS
    steps = check_history(pooled)
    assert steps == answers["done"] + answers["blocked"]
    # Every kind of answer was given, so the storm has tried what it is for.
    assert {"done", "already", "blocked", "invalid_status_transition", "precondition_failed"} <= set(answers)
