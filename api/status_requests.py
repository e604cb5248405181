"""Ask for a status: the way from a name to the operation that it means, for every place where people ask (30.1)."""

from collections.abc import Mapping
from typing import Any

from api.auth.access import Access
from lifecycle.archive import archive
from lifecycle.change_status import PlatformNeededError, change_status
from lifecycle.deploy import deploy
from lifecycle.options import LifecycleOptions
from lifecycle.platform import Platform
from lifecycle.results import Hints, StatusResult, Transact
from lifecycle.statuses import Operation, Status


def request_status(
    access: Access,
    transact: Transact,
    platform: Platform,
    *,
    tenant_id: str,
    automation_version_id: str,
    requested: Status,
    hints: Hints,
    reason: str | None,
    blocked_reason: str | None = None,
    status_metadata: Mapping[str, Any] | None = None,
    override: bool = False,
    options: LifecycleOptions,
) -> StatusResult:
    """Make a version `requested`; a deploy and an archive ask the platform. `LifecycleError`: as they say."""
    try:
        with transact() as connection:
            return change_status(
                connection,
                tenant_id=tenant_id,
                automation_version_id=automation_version_id,
                requested=requested,
                actor_context=access.actor,
                hints=hints,
                reason=reason,
                blocked_reason=blocked_reason,
                status_metadata=status_metadata,
                override=override,
                options=options,
            )
    except PlatformNeededError as needed:
        operation = needed.operation
    return (deploy if operation is Operation.DEPLOY else archive)(
        transact,
        platform,
        tenant_id=tenant_id,
        automation_version_id=automation_version_id,
        actor_context=access.actor,
        hints=hints,
        reason=reason,
        options=options,
    )
