"""Make the parts of the API from the settings; a key that can't be used ends the command and is named."""

from api.auth.limits import RateLimits
from api.auth.tokens import TokenVerifier, UnusableKeyError
from api.database import Database
from api.ingest import IngestParts
from api.v1.app import ApiParts
from api.v1.execution_gate import ExecutionParts
from cli.options import fail_usage
from config.database import make_engine
from config.settings import Settings
from lifecycle.breaker.blacklist_store import BlacklistStore
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


def blacklist_store(settings: Settings) -> BlacklistStore:
    """The blacklist as this process is told of it; contacts nothing before it is started."""
    # One connection is held for those that others need to be told, one is for questions.
    return BlacklistStore(make_engine(settings.postgres, pool_size=2), settings.redis.url.get_secret_value())


def execution_parts(made: ApiParts, ingest: IngestParts, blacklist: BlacklistStore) -> ExecutionParts:
    """What the admission gate shares with the rest of the API."""
    return ExecutionParts(
        database=made.database,
        verifier=made.verifier,
        limits=made.limits,
        publish=ingest.publish,
        max_future_skew=ingest.max_future_skew,
        blacklist=blacklist,
    )
