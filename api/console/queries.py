"""What the addresses of lists may say: every parameter closed or bounded, so that links can be shared."""

from enum import StrEnum
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from lifecycle.credits.case_reads import CaseFilter
from lifecycle.kinds import CaseSeverity, CaseStatus, DecisionKind, TaskKind, TaskStatus
from lifecycle.statuses import Status
from lifecycle.tasks import TaskFilter


def _absent_if_empty(value: Any) -> Any:
    return None if value == "" else value


class TaskView(StrEnum):
    """Which tasks a list shows."""

    OPEN = "open"
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    CANCELLED = "cancelled"


_Id = Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Cursor = Annotated[str | None, StringConstraints(max_length=100), BeforeValidator(_absent_if_empty)]


class TenantQuery(BaseModel):
    """Whose; None is all that may be seen."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tenant_id: Annotated[_Id | None, BeforeValidator(_absent_if_empty)] = None


class ListQuery(BaseModel):
    """Parameters of any list; unknown ones are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Where the page begins; None for the first one.
    cursor: _Cursor = None

    def link(self, **changes: Any) -> str:
        """The same list with other parameters, as a query string; empty for the plain list."""
        changed = self.model_copy(update=changes)
        return urlencode(changed.model_dump(mode="json", exclude_defaults=True))

    @classmethod
    def read(cls, text: str) -> Self:
        """A query string as `link` makes it; the plain list for anything else."""
        try:
            return cls.model_validate(dict(parse_qsl(text[:2000], max_num_fields=20)))
        except (ValidationError, ValueError):
            return cls()


class TaskQuery(ListQuery):
    """Parameters of the list of tasks."""

    status: Annotated[TaskView, BeforeValidator(lambda value: value or TaskView.OPEN)] = TaskView.OPEN
    kind: Annotated[TaskKind | None, BeforeValidator(_absent_if_empty)] = None
    automation_version_id: Annotated[_Id | None, BeforeValidator(_absent_if_empty)] = None

    @property
    def filter(self) -> TaskFilter:
        """The same for the lifecycle."""
        return TaskFilter(
            status=None if self.status is TaskView.OPEN else TaskStatus(self.status.value),
            kind=self.kind,
            automation_version_id=self.automation_version_id,
        )


class AutomationQuery(ListQuery):
    """Parameters of the list of automations; its pages begin after an id."""

    cursor: Annotated[_Id | None, BeforeValidator(_absent_if_empty)] = None
    status: Annotated[Status | None, BeforeValidator(_absent_if_empty)] = None
    tenant_id: Annotated[_Id | None, BeforeValidator(_absent_if_empty)] = None


class CaseView(StrEnum):
    """Which credit cases a list shows."""

    UNRESOLVED = "unresolved"
    OPEN = "Open"
    INVESTIGATING = "Investigating"
    MITIGATING = "Mitigating"
    RESOLVED = "Resolved"


class CaseQuery(ListQuery):
    """Parameters of the list of credit cases."""

    status: Annotated[CaseView, BeforeValidator(lambda value: value or CaseView.UNRESOLVED)] = CaseView.UNRESOLVED
    severity: Annotated[CaseSeverity | None, BeforeValidator(_absent_if_empty)] = None
    tenant_id: Annotated[_Id | None, BeforeValidator(_absent_if_empty)] = None

    @property
    def filter(self) -> CaseFilter:
        """The same for the lifecycle."""
        return CaseFilter(
            status=None if self.status is CaseView.UNRESOLVED else CaseStatus(self.status.value),
            severity=self.severity,
            tenant_id=self.tenant_id,
        )


class DecisionQuery(ListQuery):
    """Parameters of the list of decisions."""

    kind: Annotated[DecisionKind | None, BeforeValidator(_absent_if_empty)] = None
    #: Those that joined one task.
    task_id: Annotated[UUID | None, BeforeValidator(_absent_if_empty)] = None
