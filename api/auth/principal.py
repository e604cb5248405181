"""Who asks, as the routes see it; knows no HTTP."""

from dataclasses import dataclass

from lifecycle.actors import ActorContext
from lifecycle.capabilities import Capability, capabilities_of

#: `tenants` of staff who work for all of them; as the database's setting too.
EVERY_TENANT = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person or service whose token was verified.

    A tenant's user has `tenant_id`; staff and services have `tenants` instead, a set or `EVERY_TENANT`.
    """

    subject: str
    roles: frozenset[str]
    tenant_id: str | None = None
    tenants: frozenset[str] | str = frozenset()
    is_service: bool = False

    @property
    def is_staff(self) -> bool:
        """True for those who work for tenants and belong to none."""
        return self.tenant_id is None

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the roles allow."""
        return capabilities_of(self.roles)

    def may_act_in(self, tenant_id: str) -> bool:
        """Whether a tenant's rows are this one's business at all."""
        if self.tenant_id is not None:
            return tenant_id == self.tenant_id
        return self.tenants == EVERY_TENANT or tenant_id in self.tenants

    def actor(self, invoked_via: str) -> ActorContext:
        """The one who asks, as audit rows remember it."""
        return ActorContext(
            actor=self.subject,
            invoked_via=invoked_via,
            user_id=None if self.is_service else self.subject,
            capabilities=self.capabilities,
        )
