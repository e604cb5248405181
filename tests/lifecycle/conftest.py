"""What tests of the lifecycle share."""

from collections.abc import Iterator

import pytest

from tests.lifecycle.notion_server import NotionServer


@pytest.fixture
def server() -> Iterator[NotionServer]:
    """A Notion of a test's own."""
    with NotionServer() as running:
        yield running
