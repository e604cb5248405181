"""When Notion is brought up to date."""

import procrastinate

from lifecycle.notion.sync import NotionSync

#: By itself, so that a Notion that hangs keeps nothing else from its time.
NOTION_QUEUE = "notion"

#: Six fields, the last is seconds. A pass ends before the next one begins.
_OFTEN = "* * * * * */15"


def add_notion_schedule(app: procrastinate.App, sync: NotionSync) -> None:
    """Add the periodic job. Of several workers one writes at a time."""

    @app.periodic(cron=_OFTEN)
    @app.task(name="sync_notion", queue=NOTION_QUEUE, queueing_lock="sync_notion")
    def sync_notion(timestamp: int) -> None:  # noqa: ARG001  (the queue's signature)
        sync.run()
