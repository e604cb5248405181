"""What the console is made of."""

from dataclasses import dataclass

from api.auth.limits import RateLimits
from api.auth.tokens import TokenVerifier
from lifecycle.options import LifecycleOptions
from lifecycle.platform import Platform


@dataclass(frozen=True, slots=True)
class SignIn:
    """How people are let in."""

    verifier: TokenVerifier
    limits: RateLimits


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """Everything but the database."""

    platform: Platform
    options: LifecycleOptions
    #: None: whoever reaches the console is the operator.
    sign_in: SignIn | None

    @property
    def secure(self) -> bool:
        """Whether cookies travel over https alone."""
        return self.options.public_url.startswith("https:")
