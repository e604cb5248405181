"""Make the parts of the API from the settings; a key that can't be used ends the command and is named."""

from api.auth.limits import RateLimits
from api.auth.tokens import TokenVerifier, UnusableKeyError
from api.database import Database
from api.v1.app import ApiParts
from cli.options import fail_usage
from config.settings import Settings
from lifecycle.options import LifecycleOptions
from lifecycle.platform import HttpPlatform


def api_parts(settings: Settings, database: Database) -> ApiParts:
    """Contact nothing yet."""
    try:
        verifier = TokenVerifier(settings.auth)
    except UnusableKeyError as error:
        fail_usage(f"BREAKWATER_AUTH__PUBLIC_KEY: {error}")
    return ApiParts(
        database=database,
        verifier=verifier,
        limits=RateLimits(settings.auth, settings.redis.url.get_secret_value()),
        platform=HttpPlatform(settings.platform),
        options=LifecycleOptions.of(settings),
    )
