"""One pass by a process of its own, that a test may kill: `python -m tests.lifecycle.notion_child DATABASE ACCESS`."""

import json
import sys
from datetime import timedelta

import sqlalchemy as sa
from pydantic import SecretStr

from config.settings import NotionAccess
from lifecycle.notion.client import NotionClient
from lifecycle.notion.sync import NotionSync
from tests.lifecycle.notion_given import OPTIONS
from tests.lifecycle.notion_server import TOKEN


def main() -> None:
    """Write what is due."""
    url, said = sys.argv[1:]
    access = NotionAccess(token=SecretStr(TOKEN), **json.loads(said))
    engine = sa.create_engine(url)
    with NotionClient(access, interval=timedelta(0)) as notion:
        NotionSync(engine=engine, notion=notion, access=access, options=OPTIONS).run()


if __name__ == "__main__":
    main()
