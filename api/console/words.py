"""What things are called on pages. A word that is not here is shown as it is, without underscores."""

from collections.abc import Mapping

from lifecycle.kinds import (
    ActionResult,
    BlockKind,
    CaseAction,
    CaseSeverity,
    DecisionKind,
    DecisionOutcome,
    GateHoldKind,
    HoldKind,
    HoldStatus,
    Priority,
    TaskKind,
    TaskStatus,
)
from lifecycle.statuses import Operation, Prerequisite, Status

TASK_KINDS: Mapping[str, str] = {
    TaskKind.CREDENTIALS_ISSUE: "Credentials",
    TaskKind.REMEDIATION: "Remediation",
    TaskKind.BUILD_CHECKLIST: "Build checklist",
    TaskKind.QA_FIX: "QA fix",
    TaskKind.BLACKLIST_REVIEW: "Blacklist review",
    TaskKind.CREDIT_CASE: "Credit case",
    TaskKind.EVIDENCE_HYGIENE: "Evidence hygiene",
    TaskKind.QA_CHECKLIST: "QA checklist",
    TaskKind.APPROVAL: "Approval",
    TaskKind.GENERAL_TODO: "To do",
}

TASK_STATUSES: Mapping[str, str] = {
    TaskStatus.PENDING: "Unclaimed",
    TaskStatus.IN_PROGRESS: "In progress",
    TaskStatus.COMPLETE: "Complete",
    TaskStatus.CANCELLED: "Cancelled",
}

PRIORITIES: Mapping[str, str] = {
    Priority.LOW: "Low",
    Priority.MEDIUM: "Medium",
    Priority.HIGH: "High",
    Priority.CRITICAL: "Critical",
}

DECISION_KINDS: Mapping[str, str] = {
    DecisionKind.BLOCK_FOR_CREDENTIALS: "Block for credentials",
    DecisionKind.EXECUTION_STUCK: "Execution stuck",
    DecisionKind.EXECUTION_RECOVERED: "Execution recovered",
    DecisionKind.BLACKLIST_WORKFLOW: "Blacklist workflow",
    DecisionKind.CREDIT_INCIDENT: "Credit incident",
    DecisionKind.SPEND_ANOMALY: "Spend anomaly",
    DecisionKind.SILENCE: "Silence",
}

REASONS: Mapping[str, str] = {
    "consecutive_failures": "The system refused the credentials as many times in a row as the policy allows.",
    "failure_ratio": "Too large a share of the runs in the window was refused for their credentials.",
    "integration_monitor": "The integration monitor reported the credentials as invalid, expired or revoked.",
    "no_activity": "The execution gave no sign of life for as long as the policy waits.",
    "platform_timeout": "The platform itself reported that the execution timed out.",
    "activity": "The execution had been called stuck, and has moved again.",
    "terminal": "The execution had been called stuck, and has ended after all.",
    "spend_burst": "An hour spent more than such an hour ever did.",
    "spend_drift": "The last week spent clearly more a day than the weeks before.",
    "credit_spike": "The run cost several times what its scenario usually does.",
    "absolute_cap": "The run cost more than any run of this tenant may.",
    "pii_exposure": "The sender says that the run exposed personal data.",
    "regulatory_data": "The sender says that the run touched regulated data.",
    "stuck_threshold": "Executions of this workflow got stuck as often within the window as the policy allows.",
}

OUTCOMES: Mapping[str, str] = {
    DecisionOutcome.APPLIED: "Applied",
    DecisionOutcome.REFUSED: "Refused",
}

#: What was done (`outcome_reason`), or why nothing was.
EFFECTS: Mapping[str, str] = {
    "blocked": "The automation was blocked.",
    "merged": "The automation was blocked already; what was new was added to that block.",
    "already_applied": "Nothing was missing: this was done already.",
    "skipped": "Nothing was blocked, because of the automation's status. Operations got a task.",
    "recorded": "The execution was recorded.",
    "blacklisted": "The workflow was put on the blacklist.",
    "told": "Operations were told; nothing was stopped.",
    "task_joined": "It joined a task that operations have for others like it; nothing was stopped.",
    "case_opened": "A credit case was opened.",
    "case_joined": "The run joined the credit case that is open for its scenario.",
    "automation_version_not_found": "Nothing was done: this tenant has no such automation version.",
    "workflow_not_found": "Nothing was done: this tenant has no such workflow.",
    "tenant_not_found": "Nothing was done: there is no such tenant.",
    "automation_not_active": "Nothing was done: the automation is archived.",
}

ACTIONS: Mapping[str, str] = {
    "update_status": "Status changed",
    "block_automation": "Automation blocked",
    "unblock_automation": "Automation unblocked",
    "blacklist_workflow": "Workflow blacklisted",
    "release_workflow": "Workflow released",
    "create_task": "Task created",
    "update_task": "Task changed",
    "hold_at_gate": "Held back at the gate",
    "release_at_gate": "Let through the gate again",
    "open_case": "Credit case opened",
    "change_case": "Credit case changed",
    "hold_decision": "Decision held",
    "end_hold": "Hold ended",
}

#: How a status is coloured; the word says it too.
STATUS_TONES: Mapping[str, str] = {
    Status.LIVE: "good",
    Status.PAUSED: "high",
    Status.BLOCKED: "critical",
    Status.ARCHIVED: "",
}

OPERATIONS: Mapping[str, str] = {
    "seed": "Taken over",
    Operation.UPDATE_STATUS: "Moved",
    Operation.BLOCK: "Blocked by hand",
    Operation.BLOCK_FOR_CREDENTIALS: "Blocked for credentials",
    Operation.UNBLOCK: "Unblocked",
    Operation.UNBLOCK_FOR_CREDENTIALS: "Unblocked: credentials",
    Operation.DEPLOY: "Deployed",
    Operation.PAUSE: "Paused",
    Operation.RESUME: "Resumed",
    Operation.ARCHIVE: "Archived",
}

PREREQUISITES: Mapping[str, str] = {
    Prerequisite.PROJECT_EXISTS: "There is a project",
    Prerequisite.LATEST_QUOTE_SIGNED: "The latest quote is signed",
    Prerequisite.PAYMENT_RECORDED: "A payment is recorded, or none is asked for",
    Prerequisite.BUILD_CHECKLIST_COMPLETE: "The build checklist is complete",
    Prerequisite.ARTIFACTS_AND_RUNBOOK_ATTACHED: "Artifact and runbook are attached",
    Prerequisite.QA_CHECKLIST_APPROVED: "The QA checklist is complete",
    Prerequisite.PASS_RATE_REACHED: "Enough tests pass",
    Prerequisite.DEPLOYMENT_AND_ROLLBACK_PLANNED: "Deployment and rollback are planned",
    Prerequisite.REMEDIATION_COMPLETE: "All tasks of the block are complete",
    Prerequisite.CREDENTIALS_VERIFIED: "The credentials were seen to work since the block",
    Prerequisite.BINDING_DEPLOYABLE: "A workflow is provisioned",
    Prerequisite.NO_OTHER_VERSION_LIVE: "No other version of the automation is Live",
}

BLOCK_KINDS: Mapping[str, str] = {
    BlockKind.CREDENTIALS: "Credentials",
    BlockKind.MANUAL: "By hand",
}

HOLD_KINDS: Mapping[str, str] = {
    HoldKind.PROVIDER_INCIDENT: "Provider incident",
    HoldKind.BLAST_RADIUS: "Too many stops at once",
}

HOLD_STATUSES: Mapping[str, str] = {
    HoldStatus.HELD: "Waits",
    HoldStatus.RELEASED: "Released",
    HoldStatus.REJECTED: "Rejected",
    HoldStatus.ENDED: "Ended with its incident",
}

CASE_VIEWS: Mapping[str, str] = {"unresolved": "Not resolved"}

CASE_TONES: Mapping[str, str] = {
    CaseSeverity.SEV0: "critical",
    CaseSeverity.SEV1: "high",
    CaseSeverity.SEV2: "medium",
}

CASE_ACTIONS: Mapping[str, str] = {
    CaseAction.QUARANTINE: "Hold the workflow, mark what the run made",
    CaseAction.BLOCK_DISPATCH: "Start nothing that the run asks for",
    CaseAction.CREATE_CASE: "Open a case",
    CaseAction.PAGE_LOCK: "Lock the page",
    CaseAction.SLACK_ESCALATE: "Escalate on Slack",
    CaseAction.SLACK_ALERT: "Tell on Slack",
    CaseAction.REQUIRE_ACK_BEFORE_RERUN: "Hold the workflow until somebody acknowledges",
    CaseAction.LOG_CASE_OPTIONAL: "Keep a case",
    CaseAction.WEEKLY_REVIEW: "Show it in the weekly review",
}

_WITHOUT_A_CASE: Mapping[str, str] = {
    "weekly_review_optional": "The weekly review may show it",
    "ledger_only": "Keep it in the ledger",
}


def credit_action(action: str) -> str:
    """What a severity asks for, also of those that open no case."""
    return CASE_ACTIONS.get(action) or _WITHOUT_A_CASE[action]


ACTION_RESULTS: Mapping[str, str] = {ActionResult.NOT_CONFIGURED: "Not set up"}

RESULT_TONES: Mapping[str, str] = {
    ActionResult.PLANNED: "medium",
    ActionResult.DONE: "good",
    ActionResult.FAILED: "critical",
    ActionResult.NOT_CONFIGURED: "",
}

GATE_HOLD_KINDS: Mapping[str, str] = {
    GateHoldKind.QUARANTINE: "All runs of the workflow",
    GateHoldKind.BLOCK_DISPATCH: "What the run asks for",
    GateHoldKind.REQUIRE_ACK: "All runs of the workflow, until somebody acknowledges",
}

#: Who did something: automatic ones by name, others as they named themselves.
_SERVICES: Mapping[str, str] = {
    "service:monitor": "Breakwater, by itself",
    "service:seed": "Import",
    "service:worker": "Breakwater, by itself",
}


def call(word: str, names: Mapping[str, str]) -> str:
    """What a word is called."""
    return names.get(word) or word.replace("_", " ").strip().capitalize() or "—"


def call_actor(actor: str) -> str:
    """What somebody is called."""
    return _SERVICES.get(actor) or actor.removeprefix("operator:")
