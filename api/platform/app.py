"""The platform's API as an application of its own, mounted at `/api/platform`."""

from fastapi import FastAPI

from api.platform import blacklist, silences
from api.v1.app import ApiParts, create_token_app


def create_platform_app(parts: ApiParts) -> FastAPI:
    """Build the application; contacts nothing."""
    return create_token_app(
        parts,
        (blacklist, silences),
        title="Breakwater: platform",
        description="The blacklist: workflows that are not started any more. Silences of notices.",
    )
