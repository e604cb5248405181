"""Why the lifecycle says no to a decision. A refusal is a value: it is recorded, and the stream goes on."""

from enum import StrEnum


class Refusal(StrEnum):
    """The closed list of reasons; what is refused has changed nothing."""

    AUTOMATION_VERSION_NOT_FOUND = "automation_version_not_found"  #: unknown, or of another tenant
    WORKFLOW_NOT_FOUND = "workflow_not_found"  #: unknown, or of another tenant
    TENANT_NOT_FOUND = "tenant_not_found"
    AUTOMATION_NOT_ACTIVE = "automation_not_active"  #: the parent automation is archived
    RELEASED_SINCE = "released_since"  #: taken off the blacklist later than what the decision is about
