"""Who is told: contacts of the tenant that owns the thing, operations, platform admins."""

from collections.abc import Collection

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.kinds import Audience, Channel
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Recipient
from lifecycle.texts import one_line
from lifecycle.versions import LockedVersion


def client_recipients(connection: sa.Connection, tenant_id: str) -> tuple[Recipient, ...]:
    """The active contacts of a tenant: email each, and in-app those who sign in."""
    contacts = connection.execute(_CONTACTS, {"tenant": tenant_id}).all()
    emails = [(Channel.EMAIL, row.email) for row in contacts]
    in_app = [(Channel.IN_APP, row.user_id) for row in contacts if row.user_id is not None]
    return tuple(
        Recipient(channel=channel, audience=Audience.CLIENT, address=address) for channel, address in emails + in_app
    )


def champion_recipients(connection: sa.Connection, tenant_id: str) -> tuple[Recipient, ...]:
    """The contacts of a tenant who are told before a launch: email."""
    contacts = tables.contacts.c
    emails = connection.execute(
        sa.select(contacts.email)
        .where(contacts.tenant_id == tenant_id, contacts.active, contacts.champion)
        .order_by(contacts.email)
    ).scalars()
    return tuple(Recipient(channel=Channel.EMAIL, audience=Audience.CLIENT, address=email) for email in emails)


def collaborators(connection: sa.Connection, version: LockedVersion) -> tuple[Recipient, ...]:
    """Who works on a version on the client's side, in-app: the owners of its automation and its project."""
    projects = tables.projects.c
    owners = connection.execute(
        sa.select(projects.owner_user_id).where(
            projects.tenant_id == version.tenant_id, projects.automation_version_id == version.id
        )
    ).scalars()
    users = sorted({user for user in (version.owner_user_id, *owners) if user is not None})
    return tuple(Recipient(channel=Channel.IN_APP, audience=Audience.CLIENT, address=user) for user in users)


def ops_recipients(
    options: LifecycleOptions, channels: Collection[Channel] = (Channel.EMAIL, Channel.IN_APP, Channel.SLACK)
) -> tuple[Recipient, ...]:
    """Operations, on those of the channels that are set up; a webhook gets all that operations get."""
    return _staff(options, Audience.OPS, channels)


def platform_recipients(options: LifecycleOptions) -> tuple[Recipient, ...]:
    """Platform admins: the operations address by email, all of them in-app, and Slack where it is set up."""
    return _staff(options, Audience.PLATFORM_ADMIN, (Channel.EMAIL, Channel.IN_APP, Channel.SLACK))


def on_call_recipients(options: LifecycleOptions) -> tuple[Recipient, ...]:
    """Whoever is on call, by the pager, where there is one."""
    if Channel.ON_CALL not in options.channels:
        return ()
    return (Recipient(channel=Channel.ON_CALL, audience=Audience.ON_CALL, address=Audience.ON_CALL),)


def analytics_recipients() -> tuple[Recipient, ...]:
    """Whoever counts what became of automations: in-app."""
    return (Recipient(channel=Channel.IN_APP, audience=Audience.ANALYTICS, address=Audience.ANALYTICS),)


def _staff(options: LifecycleOptions, audience: Audience, channels: Collection[Channel]) -> tuple[Recipient, ...]:
    addresses = {
        Channel.EMAIL: options.ops_email,
        Channel.IN_APP: audience.value,
        Channel.SLACK: audience.value,
        Channel.WEBHOOK: audience.value,
    }
    always = {Channel.EMAIL, Channel.IN_APP}
    return tuple(
        Recipient(channel=channel, audience=audience, address=address)
        for channel, address in addresses.items()
        if channel in (*channels, Channel.WEBHOOK) and (channel in always or channel in options.channels)
    )


def tenant_name(connection: sa.Connection, tenant_id: str) -> str:
    """What a tenant is called."""
    return str(
        connection.execute(sa.select(tables.tenants.c.name).where(tables.tenants.c.id == tenant_id)).scalar_one()
    )


def name_of_actor(connection: sa.Connection, actor_context: ActorContext) -> str:
    """Who did something, as people read it; a person whose name may not be read here is of operations."""
    if actor_context.user_id is None:
        return "Breakwater"
    name = connection.execute(_NAME, {"user": actor_context.user_id}).scalar()
    return one_line(name or "operations")


_CONTACTS = (
    sa.select(tables.contacts.c.email, tables.contacts.c.user_id)
    .where(tables.contacts.c.tenant_id == sa.bindparam("tenant"), tables.contacts.c.active)
    .order_by(tables.contacts.c.email)
)
_NAME = sa.select(tables.users.c.display_name).where(tables.users.c.id == sa.bindparam("user"))
