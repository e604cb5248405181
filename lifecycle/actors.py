"""Who asks for something, as audit rows and history remember it."""

from collections.abc import Iterable
from dataclasses import dataclass

from lifecycle.capabilities import CAPABILITIES, OWNER_CAPABILITIES, Capability, Role


@dataclass(frozen=True, slots=True)
class ActorContext:
    """The asking person or service, and the way the request came."""

    #: A user id, or `service:<name>`.
    actor: str
    #: `monitor`, `patch_status`, `console`, `cli`, `seed`, …
    invoked_via: str
    #: None for a service.
    user_id: str | None = None
    #: What they may do in the tenant that they act in; owning an automation is looked up where it matters.
    capabilities: frozenset[Capability] = frozenset()

    @property
    def system_initiated(self) -> bool:
        """True where no person asked."""
        return self.user_id is None

    def capabilities_over(self, owner_user_id: str | None) -> frozenset[Capability]:
        """What they may do with a version of an automation that this user owns."""
        owns = self.user_id is not None and self.user_id == owner_user_id
        return self.capabilities | (OWNER_CAPABILITIES if owns else frozenset())

    @classmethod
    def of_user(cls, user_id: str, invoked_via: str, capabilities: Iterable[Capability] = ()) -> "ActorContext":
        """A signed-in person."""
        return cls(actor=user_id, invoked_via=invoked_via, user_id=user_id, capabilities=frozenset(capabilities))


#: The monitor's own identity.
MONITOR = ActorContext(actor="service:monitor", invoked_via="monitor", capabilities=CAPABILITIES[Role.SERVICE])
#: Jobs and schedules.
WORKER = ActorContext(actor="service:worker", invoked_via="worker", capabilities=CAPABILITIES[Role.SERVICE])
