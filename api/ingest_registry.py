"""What the database knows of the names in one request or batch."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack

import sqlalchemy as sa

from dataflows.dead_letters import DeadLetterCode, Unusable
from dataflows.events import SCENARIO_PREFIX
from dataflows.interop.references import Reference
from lifecycle.external_refs import AmbiguousReferenceError, find_by_external_ref
from lifecycle.registry import find_binding


class NamesInRegistry:
    """Asks for each name once, on one connection, or on none when nothing is asked for. For one thread.

    SQLAlchemy's errors when the database is away.
    """

    def __init__(
        self, connect: Callable[[], AbstractContextManager[sa.Connection]], tenants: Collection[str] | None
    ) -> None:
        """`tenants` are those whose names are looked at; all for None."""
        self._connect = connect
        self._tenants = tenants
        self._opened = ExitStack()
        self._connection: sa.Connection | None = None
        self._references: dict[str, Reference | None] = {}
        self._workflows: dict[tuple[str, str], str | None] = {}

    def __enter__(self) -> "NamesInRegistry":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def look_up(self, external_ref: str) -> Reference | None:
        """What another system's name stands for; None when nobody has given it, `Unusable` when it could be several."""
        if external_ref not in self._references:
            try:
                found = find_by_external_ref(self._opened_connection(), external_ref, self._tenants)
            except AmbiguousReferenceError:
                explanation = "several automations have this name (external_ref)"
                raise Unusable(DeadLetterCode.UNKNOWN_AUTOMATION_VERSION, explanation) from None
            self._references[external_ref] = (
                None if found is None else Reference(found.tenant_id, found.automation_version_id, found.workflow_id)
            )
        return self._references[external_ref]

    def workflow_of(self, tenant_id: str, automation_version_id: str) -> str | None:
        """The workflow of a version of this tenant, itself when it has none; None for a version that is not known.

        A pseudo-version of a scenario stands for itself.
        """
        if automation_version_id.startswith(SCENARIO_PREFIX):
            return automation_version_id
        asked = (tenant_id, automation_version_id)
        if asked not in self._workflows:
            binding = find_binding(self._opened_connection(), automation_version_id)
            is_theirs = binding is not None and binding.tenant_id == tenant_id
            self._workflows[asked] = (binding.workflow_id or automation_version_id) if binding and is_theirs else None
        return self._workflows[asked]

    def _opened_connection(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._opened.enter_context(self._connect())
        return self._connection
