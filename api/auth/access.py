"""Transactions of somebody who was let in: as the API's database role, with the tenants that are theirs (30.2, 30.7).

The database shows and takes rows of these tenants alone, so that a filter that somebody forgot leaks nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from api.auth.principal import EVERY_TENANT, Principal
from api.database import Database
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.capabilities import Capability
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import AccountStatus, AuditAction

#: The role of migration 0010.
ROLE = "breakwater_api"

_memberships, _tenants = tables.memberships.c, tables.tenants.c


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do with the database; `invoked_via` is how audit rows name the way."""

    database: Database
    principal: Principal
    invoked_via: str = "api"

    @property
    def actor(self) -> ActorContext:
        """The one who asks."""
        return self.principal.actor(self.invoked_via)

    def needs(self, capability: Capability) -> None:
        """`LifecycleError` `forbidden` without it."""
        if capability not in self.principal.capabilities:
            raise LifecycleError(ErrorCode.FORBIDDEN, "Your roles do not allow this.")

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One snapshot of the rows of all tenants that are theirs; writes nothing."""
        with self.database.read() as connection:
            self._enter(connection, self._own())
            yield connection

    @contextmanager
    def read_of(self, kind: str, row_id: str) -> Iterator[tuple[sa.Connection, str]]:
        """One snapshot of the rows of the tenant that owns a row, and that tenant.

        A row of a tenant that is not theirs looks like one that does not exist: whoever then reads it finds nothing.
        """
        tenant_id = self.owner(kind, row_id)
        if self.principal.is_staff and tenant_id:
            with self.write(tenant_id):
                pass  # that they look is audited before they see anything
        with self.database.read() as connection:
            self._enter(connection, [tenant_id])
            yield connection, tenant_id

    def owner(self, kind: str, row_id: str) -> str:
        """The tenant that owns a row; of a row that is not theirs, one in which it is not found."""
        if self.principal.tenant_id is not None:
            return self.principal.tenant_id
        with self.database.read() as connection:
            self._enter(connection, self._own())
            return self._owner(connection, kind, row_id)

    @contextmanager
    def write(self, tenant_id: str) -> Iterator[sa.Connection]:
        """A transaction in one tenant, committed at the end. That staff act in a tenant is audited."""
        with self.database.write() as connection:
            self._enter(connection, [tenant_id])
            # In no tenant there is nothing that could be changed.
            if self.principal.is_staff and tenant_id:
                write_audit(
                    connection,
                    tenant_id=tenant_id,
                    actor_context=self.actor,
                    entries=[
                        AuditEntry(action=AuditAction.STAFF_ACCESS, resource_type="tenant", resource_id=tenant_id)
                    ],
                )
            yield connection

    @contextmanager
    def write_platform(self) -> Iterator[sa.Connection]:
        """A transaction over all tenants, for what belongs to none of them. Staff with all tenants alone."""
        if self.principal.tenants != EVERY_TENANT:
            raise LifecycleError(ErrorCode.FORBIDDEN, "This belongs to the platform, not to a tenant.")
        with self.database.write() as connection:
            self._enter(connection, EVERY_TENANT)
            yield connection

    def _own(self) -> list[str] | str:
        if self.principal.tenant_id is not None:
            return [self.principal.tenant_id]
        return self.principal.tenants if isinstance(self.principal.tenants, str) else sorted(self.principal.tenants)

    def _enter(self, connection: sa.Connection, tenants: list[str] | str) -> None:
        """Take the role and name the tenants; a member's roles come with the same question."""
        shown = tenants if isinstance(tenants, str) else _array(tenants)
        if self.principal.tenant_id is None or self.principal.is_service:
            connection.execute(_ENTER, {"tenants": shown})
            return
        # A token outlives what it was given for: the membership is looked at each time, its roles too.
        roles = (
            connection.execute(
                _ENTER_AS_MEMBER,
                {"tenants": shown, "tenant": self.principal.tenant_id, "user": self.principal.subject},
            )
            .one()
            .roles
        )
        if roles is None or not self.principal.roles <= set(roles):
            raise LifecycleError(ErrorCode.FORBIDDEN, "Your membership of this tenant does not allow this any more.")

    def _owner(self, connection: sa.Connection, kind: str, row_id: str) -> str:
        if self.principal.tenant_id is not None:
            return self.principal.tenant_id
        found = connection.execute(sa.select(sa.func.tenant_of(kind, row_id))).scalar()
        # No tenant is called by the empty text, so nothing is found in it.
        return found if isinstance(found, str) and self.principal.may_act_in(found) else ""


def _array(tenants: Iterable[str]) -> str:
    """Tenant ids as the text of a Postgres array; ids may hold anything."""
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in tenants)
    return "{" + ",".join(f'"{one}"' for one in quoted) + "}"


_ENTER = sa.select(
    sa.func.set_config("role", ROLE, True),
    sa.func.set_config("breakwater.tenants", sa.bindparam("tenants", type_=sa.Text), True),
)
#: The membership is read as the tables' owner, by its whole key.
_ENTER_AS_MEMBER = _ENTER.add_columns(
    sa.select(_memberships.roles)
    .join(tables.tenants, _tenants.id == _memberships.tenant_id)
    .where(
        _memberships.tenant_id == sa.bindparam("tenant"),
        _memberships.user_id == sa.bindparam("user"),
        _memberships.status == AccountStatus.ACTIVE,
        _tenants.status == AccountStatus.ACTIVE,
    )
    .scalar_subquery()
    .label("roles")
)
