"""What the lifecycle is told from outside: addresses, and which statuses an automatic block may start from."""

from dataclasses import dataclass
from urllib.parse import quote

from lifecycle.statuses import AUTOMATIC_BLOCK_SOURCES, Status


@dataclass(frozen=True, slots=True)
class LifecycleOptions:
    """The smallest part of the settings that the lifecycle needs."""

    #: Who of operations is told by email.
    ops_email: str = "ops@localhost"
    #: Prefix of links in tasks and notices, without a slash at its end.
    public_url: str = "http://127.0.0.1:8080"
    block_sources: frozenset[Status] = AUTOMATIC_BLOCK_SOURCES

    def tasks_link(self, automation_version_id: str) -> str:
        """The console's page of a version's open tasks."""
        return f"{self.public_url}/console/tasks?automation_version_id={quote(automation_version_id, safe='')}"

    def decision_link(self, decision_id: str) -> str:
        """The console's page of a decision."""
        return f"{self.public_url}/console/decisions/{decision_id}"

    def blacklist_link(self) -> str:
        """The console's page of the blacklist."""
        return f"{self.public_url}/console/blacklist"
