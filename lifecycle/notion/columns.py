"""The columns of each database: named as the program that this one takes the place of names them, and a few of ours.

`docs/notion.md` lists them, and a test compares it.
"""

from collections.abc import Mapping

from lifecycle.kinds import CaseStatus
from lifecycle.notion.kinds import NotionKind
from lifecycle.notion.values import Column, ColumnType

STAGE, GATE, VERDICT = "Stage", "WT Gate For Automation", "WT Gate Verdict"

#: What the state of a task, and how a run ended, is called there.
TASK_STATUSES: Mapping[str, str] = {
    "pending": "Next",
    "in_progress": "In progress",
    "complete": "Done",
    "cancelled": "Cancelled",
}

RUN_STATUSES: Mapping[str, str] = {
    "success": "Success",
    "failure": "Failed",
    "cancelled": "Cancelled",
    "timed_out": "Timed Out",
}

_CHOICE, _NUMBER = ColumnType.CHOICE, ColumnType.NUMBER
_TIME, _LINK, _PAGES = ColumnType.TIME, ColumnType.LINK, ColumnType.PAGES

COLUMNS: Mapping[NotionKind, tuple[Column, ...]] = {
    NotionKind.CASE: (
        Column("Case_ID"),
        Column("Tenant_ID"),
        Column("Scenario"),
        Column("Category", _CHOICE),
        Column("Severity", _CHOICE),
        Column("Exposure_Band", _CHOICE),
        Column("Status", _CHOICE, tuple(CaseStatus)),
        Column(STAGE, _CHOICE, shared=True),
        Column(GATE, _CHOICE, shared=True),
        Column(VERDICT, _CHOICE, shared=True),
        Column("Root_Cause", _CHOICE),
        Column("Primary_Run_ID"),
        Column("Related_Run_IDs"),
        Column("Fix_Patch"),
        Column("Prevent_Recurrence_Notes"),
        Column("Slack_Thread_URL", _LINK),
        Column("Link", _LINK),
        Column("Created_At", _TIME),
        Column("Updated_At", _TIME),
        Column("Resolved_At", _TIME),
    ),
    NotionKind.TASK: (
        Column("Idempotency Key"),
        Column("Case", _PAGES),
        Column("Status", _CHOICE, tuple(TASK_STATUSES.values())),
        Column("Priority", _CHOICE, ("P0",)),
        Column("Mode", _CHOICE, ("Draft-Only",)),
    ),
    NotionKind.RECEIPT: (
        Column("Receipt ID"),
        Column("Case", _PAGES),
        Column("Idempotency Key"),
        Column("Outcome", _CHOICE, ("created", "duplicate", "blocked", "error")),
        Column("Blocked Reason"),
        Column("Run At", _TIME),
    ),
    NotionKind.REVIEW: (
        Column("ISO Week"),
        Column("Tenant"),
        Column("Revision", _NUMBER),
        Column("Period Start", _TIME),
        Column("Period End", _TIME),
        Column("Total Credits", _NUMBER),
        Column("Total Runs", _NUMBER),
        Column("SEV0", _NUMBER),
        Column("SEV1", _NUMBER),
        Column("SEV2", _NUMBER),
        Column("Failed Runs", _NUMBER),
        Column("Forecast", _NUMBER),
        Column("Link", _LINK),
    ),
    NotionKind.RUN: (
        Column("Run_ID"),
        Column("Timestamp", _TIME),
        Column("Tenant_ID"),
        Column("Workflow_ID"),
        Column("Scenario_Name"),
        Column("Scenario_ID"),
        Column("Job_Type", _CHOICE),
        Column("Status", _CHOICE, tuple(RUN_STATUSES.values())),
        Column("Credits_Total", _NUMBER),
        Column("Credits_In", _NUMBER),
        Column("Credits_Out", _NUMBER),
        Column("Model"),
        Column("Input_Tokens", _NUMBER),
        Column("Output_Tokens", _NUMBER),
        Column("Artifacts_Link", _LINK),
        Column("Severity", _CHOICE),
        Column("Risk_Flags", ColumnType.CHOICES),
        Column("Risk_Summary"),
        Column("Misconfig_Likelihood", _CHOICE),
        Column("Baseline_Expected_Credits", _NUMBER),
        Column("Variance_Multiplier", _NUMBER),
    ),
}

#: What names the object, and what the same name may be told apart by: a column, or, where there is none, the title.
IDENTITY: Mapping[NotionKind, tuple[str, tuple[str, ...]]] = {
    NotionKind.CASE: ("Case_ID", ()),
    NotionKind.TASK: ("Idempotency Key", ()),
    NotionKind.RECEIPT: ("Receipt ID", ()),
    NotionKind.REVIEW: ("Report ID", ()),
    NotionKind.RUN: ("Run_ID", ("Tenant_ID", "Workflow_ID")),
}

#: Columns that people may change in Notion too, by kind.
SHARED: Mapping[NotionKind, tuple[str, ...]] = {
    kind: tuple(column.name for column in columns if column.shared) for kind, columns in COLUMNS.items()
}
