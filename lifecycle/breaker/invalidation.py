"""Tell of a change of the blacklist at once, from inside the transaction that makes it (spec 40.3).

The version of the blacklist is counted by a trigger (migration 0013), so no change can go unseen: the relay looks at
it several times a second. What is announced here reaches it with the commit instead, a few milliseconds later.
"""

import sqlalchemy as sa

CHANNEL = "blacklist_changes"

_NOTIFY = sa.text("SELECT pg_notify(:channel, json_build_array(CAST(:tenant AS text), CAST(:workflow AS text))::text)")


def announce(connection: sa.Connection, tenant_id: str, workflow_id: str) -> None:
    """Tell of one workflow's change, when the caller's transaction commits; nothing is told if it does not."""
    connection.execute(_NOTIFY, {"channel": CHANNEL, "tenant": tenant_id, "workflow": workflow_id})
