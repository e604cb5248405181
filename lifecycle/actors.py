"""Who asks for something, as audit rows and history remember it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ActorContext:
    """The asking person or service, and the way the request came."""

    #: A user id, or `service:<name>`.
    actor: str
    #: `monitor`, `patch_status`, `console`, `cli`, `seed`, …
    invoked_via: str
    #: None for a service.
    user_id: str | None = None

    @property
    def system_initiated(self) -> bool:
        """True where no person asked."""
        return self.user_id is None

    @classmethod
    def of_user(cls, user_id: str, invoked_via: str) -> "ActorContext":
        """A signed-in person."""
        return cls(actor=user_id, invoked_via=invoked_via, user_id=user_id)


#: The monitor's own identity.
MONITOR = ActorContext(actor="service:monitor", invoked_via="monitor")
