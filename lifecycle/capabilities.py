"""Who may do what: one table of capabilities by role (30.7). A role that is not listed may do nothing."""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Capability(StrEnum):
    """One thing that somebody may be allowed to do."""

    READ = "read"  #: everything of the tenant
    BUILD_AND_QA = "build_and_qa"  #: into and between build and QA
    APPROVE_LAUNCH = "approve_launch"  #: QA & Testing to Ready to Launch
    DEPLOY = "deploy"
    BLOCK = "block"  #: by hand
    UNBLOCK = "unblock"  #: with every condition met
    OVERRIDE = "override"  #: unblock without
    PAUSE_AND_RESUME = "pause_and_resume"
    ARCHIVE = "archive"
    TASKS = "tasks"  #: change any task; an assignee may change their own
    MANAGE_CREDENTIALS = "manage_credentials"  #: say that credentials work, or do not
    HOLDS = "holds"  #: release and reject what the guard holds
    CASES = "cases"  #: resolve SEV0 and SEV1
    POLICIES = "policies"
    PLATFORM = "platform"  #: blacklist, guard, dead letters: what no tenant owns
    AUTOMATIC = "automatic"  #: block and unblock by decision; services alone


class Role(StrEnum):
    """What somebody is in a tenant, or on the platform's staff."""

    OPS_BUILD = "ops_build"
    OPS_QA = "ops_qa"
    OPS_RELEASE = "ops_release"
    OPS_BILLING = "ops_billing"
    OPS_ADMIN = "ops_admin"
    ADMIN = "admin"
    PLATFORM_ADMIN = "platform_admin"
    WORKFLOWS_WRITE = "workflows_write"
    MEMBER = "member"
    VIEWER = "viewer"
    SERVICE = "service"


_OPS = frozenset(
    {Capability.READ, Capability.BLOCK, Capability.UNBLOCK, Capability.TASKS, Capability.MANAGE_CREDENTIALS}
)

CAPABILITIES: Mapping[Role, frozenset[Capability]] = {
    Role.OPS_BUILD: _OPS | {Capability.BUILD_AND_QA, Capability.DEPLOY, Capability.PAUSE_AND_RESUME},
    Role.OPS_QA: _OPS | {Capability.BUILD_AND_QA, Capability.APPROVE_LAUNCH, Capability.PAUSE_AND_RESUME},
    Role.OPS_RELEASE: _OPS | {Capability.APPROVE_LAUNCH, Capability.DEPLOY, Capability.ARCHIVE},
    Role.OPS_BILLING: _OPS,
    Role.OPS_ADMIN: _OPS
    | {
        Capability.DEPLOY,
        Capability.OVERRIDE,
        Capability.PAUSE_AND_RESUME,
        Capability.HOLDS,
        Capability.CASES,
        Capability.POLICIES,
    },
    Role.ADMIN: frozenset(Capability) - {Capability.PLATFORM, Capability.AUTOMATIC},
    Role.PLATFORM_ADMIN: frozenset({Capability.READ, Capability.PLATFORM}),
    Role.WORKFLOWS_WRITE: frozenset({Capability.READ, Capability.PAUSE_AND_RESUME}),
    Role.MEMBER: frozenset({Capability.READ}),
    Role.VIEWER: frozenset({Capability.READ}),
    Role.SERVICE: frozenset({Capability.READ, Capability.AUTOMATIC, Capability.MANAGE_CREDENTIALS}),
}

#: What owning an automation allows besides one's roles.
OWNER_CAPABILITIES = frozenset({Capability.READ, Capability.PAUSE_AND_RESUME})


def capabilities_of(roles: Iterable[str]) -> frozenset[Capability]:
    """All that these roles allow together; a word that is no role allows nothing."""
    known = {role.value: role for role in Role}
    return frozenset().union(*(CAPABILITIES[known[role]] for role in roles if role in known))
