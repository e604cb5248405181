"""Who is told: contacts of the tenant that owns the thing, operations, platform admins."""

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.kinds import Audience, Channel
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Recipient


def client_recipients(connection: sa.Connection, tenant_id: str) -> tuple[Recipient, ...]:
    """The active contacts of a tenant: email each, and in-app those who sign in."""
    contacts = connection.execute(
        sa.select(tables.contacts.c.email, tables.contacts.c.user_id)
        .where(tables.contacts.c.tenant_id == tenant_id, tables.contacts.c.active)
        .order_by(tables.contacts.c.email)
    ).all()
    emails = [(Channel.EMAIL, row.email) for row in contacts]
    in_app = [(Channel.IN_APP, row.user_id) for row in contacts if row.user_id is not None]
    return tuple(
        Recipient(channel=channel, audience=Audience.CLIENT, address=address) for channel, address in emails + in_app
    )


def ops_recipients(options: LifecycleOptions) -> tuple[Recipient, ...]:
    """Operations, by email and in-app."""
    return (
        Recipient(channel=Channel.EMAIL, audience=Audience.OPS, address=options.ops_email),
        Recipient(channel=Channel.IN_APP, audience=Audience.OPS, address=Audience.OPS),
    )


def platform_recipients(options: LifecycleOptions) -> tuple[Recipient, ...]:
    """Platform admins: the operations address by email, all of them in-app."""
    return (
        Recipient(channel=Channel.EMAIL, audience=Audience.PLATFORM_ADMIN, address=options.ops_email),
        Recipient(channel=Channel.IN_APP, audience=Audience.PLATFORM_ADMIN, address=Audience.PLATFORM_ADMIN),
    )


def tenant_name(connection: sa.Connection, tenant_id: str) -> str:
    """What a tenant is called."""
    return str(
        connection.execute(sa.select(tables.tenants.c.name).where(tables.tenants.c.id == tenant_id)).scalar_one()
    )
