"""The closed lists of words that rows are made of: the same strings in Python, SQL and JSON."""

from enum import StrEnum


class AutomationStatus(StrEnum):
    """Whether an automation as a whole is in use; its versions have a status of their own."""

    ACTIVE = "active"  #: versions may move
    ARCHIVED = "archived"  #: no version may move any more


class AccountStatus(StrEnum):
    """Whether a tenant, or a user's membership of it, may act."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class BindingStatus(StrEnum):
    """How far a version's binding to a workflow of the platform has come (30.8)."""

    PENDING = "pending"  #: asked for; the workflow does not exist yet
    PROVISIONED = "provisioned"  #: the workflow exists and is switched off
    ACTIVE = "active"  #: the workflow runs
    INACTIVE = "inactive"  #: switched off, after having run
    ERROR = "error"  #: the platform refused


class TaskKind(StrEnum):
    """What a task is about (60.3)."""

    CREDENTIALS_ISSUE = "credentials_issue"  #: a system's credentials must be renewed
    REMEDIATION = "remediation"  #: whatever a block by hand named must be put right
    BUILD_CHECKLIST = "build_checklist"
    QA_FIX = "qa_fix"
    BLACKLIST_REVIEW = "blacklist_review"  #: find out why a workflow keeps getting stuck
    CREDIT_CASE = "credit_case"
    EVIDENCE_HYGIENE = "evidence_hygiene"
    QA_CHECKLIST = "qa_checklist"
    APPROVAL = "approval"
    GENERAL_TODO = "general_todo"


#: Kinds that an automation can't be unblocked with while one is open.
BLOCKING_TASK_KINDS = (TaskKind.CREDENTIALS_ISSUE, TaskKind.REMEDIATION)


class TaskStatus(StrEnum):
    """How far a task has come."""

    PENDING = "pending"  #: nobody works on it
    IN_PROGRESS = "in_progress"  #: its assignee does
    COMPLETE = "complete"
    CANCELLED = "cancelled"  #: no longer needed


OPEN_TASK_STATUSES = (TaskStatus.PENDING, TaskStatus.IN_PROGRESS)


class Priority(StrEnum):
    """How soon a task wants doing, least first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class TaskContext(StrEnum):
    """What a task's `context_id` names."""

    AUTOMATION_VERSION = "automation_version"
    PROJECT = "project"
    WORKFLOW = "workflow"
    INTERNAL = "internal"


class BlockKind(StrEnum):
    """Why a version is blocked. Several may hold at once; each is cleared by itself (30.1)."""

    CREDENTIALS = "credentials"  #: decided by the monitor (Flow 26)
    MANUAL = "manual"  #: by hand (Flow 13)


class Clearing(StrEnum):
    """How a reason for a block was cleared (30.4)."""

    VERIFIED = "verified"  #: the credentials were seen to work after the block
    COMPLETED = "completed"  #: by hand, with all tasks complete
    OVERRIDE = "override"  #: by hand, as a false positive
    PROVIDER_INCIDENT = "provider_incident"  #: taken back by the guard
    ARCHIVED = "archived"  #: the version went out of use


class QuoteStatus(StrEnum):
    """How far a quote has come; pricing owns its changes (Flows 11 to 18)."""

    DRAFT = "draft"
    SENT = "sent"
    SIGNED = "signed"
    REJECTED = "rejected"
    VOID = "void"
    EXPIRED = "expired"


class ArtifactKind(StrEnum):
    """What is attached to a project (30.8)."""

    ARTIFACT = "artifact"  #: what was built
    RUNBOOK = "runbook"
    DEPLOYMENT_PLAN = "deployment_plan"
    ROLLBACK_PLAN = "rollback_plan"


class CredentialStatus(StrEnum):
    """What is known of a credential (30.4). Active is not proof enough: see `last_validated_at`."""

    ACTIVE = "active"
    INVALID = "invalid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class StopKind(StrEnum):
    """What was stopped without a person."""

    BLOCK = "block"
    BLACKLISTING = "blacklisting"


class HoldKind(StrEnum):
    """Why a decision waits (30.6)."""

    PROVIDER_INCIDENT = "provider_incident"  #: the provider is down, not the credentials
    BLAST_RADIUS = "blast_radius"  #: too many automatic stops in too short a time


class HoldStatus(StrEnum):
    """What became of a decision that waits."""

    HELD = "held"
    RELEASED = "released"  #: a person let it go on; its effects are there
    REJECTED = "rejected"  #: a person said no
    ENDED = "ended"  #: the incident is over; the detector judges again on fresh evidence


class IntentKind(StrEnum):
    """What the platform is asked to do."""

    DEPLOY = "deploy"  #: activate the version's workflow
    ARCHIVE = "archive"  #: deactivate it, before the version is archived
    REPLACE = "replace"  #: deactivate it, after another version went Live


class IntentStatus(StrEnum):
    """How far it has come."""

    OPEN = "open"  #: asked, or about to be; the platform's state is not known
    COMMITTED = "committed"  #: done there and written here
    COMPENSATING = "compensating"  #: done there, refused here: being taken back
    COMPENSATED = "compensated"  #: taken back
    FAILED = "failed"  #: not done there; nothing changed


class BlacklistSource(StrEnum):
    """Who put a workflow on the blacklist, or took it off (40.2)."""

    AUTO = "auto"  #: the circuit breaker
    MANUAL = "manual"  #: a platform admin
    POLICY = "policy"  #: a policy's half-open probe


class Trigger(StrEnum):
    """What wants to start a run (40.5)."""

    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    API = "api"
    MANUAL = "manual"


class AdmissionVerdict(StrEnum):
    """What the admission gate answers."""

    ADMITTED = "admitted"
    REFUSED = "refused"


class RefusalCode(StrEnum):
    """Why a run is not admitted, the first that applies in this order (40.5)."""

    WORKFLOW_BLACKLISTED = "workflow_blacklisted"
    AUTOMATION_BLOCKED = "automation_blocked"
    AUTOMATION_PAUSED = "automation_paused"
    AUTOMATION_ARCHIVED = "automation_archived"
    AUTOMATION_NOT_LIVE = "automation_not_live"  #: it was never launched, or no version is bound to the workflow
    WORKFLOW_ON_HOLD = "workflow_on_hold"


class GateHoldKind(StrEnum):
    """What a credit case holds back at the gate (50.2)."""

    QUARANTINE = "quarantine"  #: all runs of the workflow
    BLOCK_DISPATCH = "block_dispatch"  #: what one execution asks for
    REQUIRE_ACK = "require_ack"  #: all runs, until an operator has acknowledged the case


class CaseSeverity(StrEnum):
    """How bad a credit case is: that of its worst run, the worst first (50.2)."""

    SEV0 = "SEV0"
    SEV1 = "SEV1"
    SEV2 = "SEV2"


class CaseStatus(StrEnum):
    """How far a credit case has come (50.4)."""

    OPEN = "Open"
    INVESTIGATING = "Investigating"
    MITIGATING = "Mitigating"
    RESOLVED = "Resolved"


class CaseCategory(StrEnum):
    """What a credit case is about (50.4)."""

    COST = "Cost/Credits"
    PII = "Data/PII"
    EMAIL = "Delivery/Email"
    REGULATORY = "Filing/Regulatory"
    RELIABILITY = "Reliability"
    OTHER = "Other"


class ExposureBand(StrEnum):
    """What a credit case puts at risk (50.4)."""

    REGULATORY = "Regulatory"
    FINANCIAL = "Financial"
    PRIVACY = "Privacy"
    OPERATIONAL = "Operational"


class RootCause(StrEnum):
    """Why a credit case came to be, once that is known (50.4)."""

    MISCONFIG = "Misconfig"
    LEGIT_LOAD = "Legit Load"
    EXTERNAL_DEPENDENCY = "External Dependency"
    UNKNOWN = "Unknown"


class CaseAction(StrEnum):
    """What the severity of a run asks for (50.2)."""

    QUARANTINE = "quarantine"  #: the gate refuses the workflow; the run's artifacts are marked
    BLOCK_DISPATCH = "block_dispatch"  #: the gate refuses what the execution asks for
    CREATE_CASE = "create_case"
    PAGE_LOCK = "page_lock"  #: the page of the case is read-only, where there are pages
    SLACK_ESCALATE = "slack_escalate"
    SLACK_ALERT = "slack_alert"
    REQUIRE_ACK_BEFORE_RERUN = "require_ack_before_rerun"  #: the gate refuses the workflow until somebody acknowledges
    LOG_CASE_OPTIONAL = "log_case_optional"
    WEEKLY_REVIEW = "weekly_review"


class ActionResult(StrEnum):
    """What became of an action; no message says more than this (50.2)."""

    PLANNED = "planned"  #: asked for, and not known to be done yet
    DONE = "done"
    FAILED = "failed"
    NOT_CONFIGURED = "not_configured"  #: there is nothing set up that could do it


class ReceiptOutcome(StrEnum):
    """What came of an attempt to create a task once (50.7)."""

    CREATED = "created"
    DUPLICATE = "duplicate"  #: it was there, in whatever state
    BLOCKED = "blocked"  #: the gate does not allow it
    ERROR = "error"  #: it could not be written; it is tried again


class LeakKind(StrEnum):
    """What got past the admission gate."""

    WITHOUT_ADMISSION = "without_admission"  #: nobody asked, or the answer was no
    AFTER_BLOCK = "after_block"  #: admitted, but more than a second after it was forbidden


class DecisionKind(StrEnum):
    """What the monitor may conclude (20.1): labels and filters; a row may hold a newer word."""

    BLOCK_FOR_CREDENTIALS = "block_for_credentials"
    EXECUTION_STUCK = "execution_stuck"
    EXECUTION_RECOVERED = "execution_recovered"
    BLACKLIST_WORKFLOW = "blacklist_workflow"
    CREDIT_INCIDENT = "credit_incident"
    SPEND_ANOMALY = "spend_anomaly"
    SILENCE = "silence"


class DecisionOutcome(StrEnum):
    """What became of a decision."""

    APPLIED = "applied"  #: its effects are committed; what they were is in `outcome_reason`
    REFUSED = "refused"  #: recorded with the reason; nothing else was written
    HELD = "held"  #: waits in `holds` for the end of an incident, or for a person (30.6)


class AuditAction(StrEnum):
    """What an audit row says was done."""

    UPDATE_STATUS = "update_status"
    BLOCK_AUTOMATION = "block_automation"
    UNBLOCK_AUTOMATION = "unblock_automation"
    BLACKLIST_WORKFLOW = "blacklist_workflow"
    RELEASE_WORKFLOW = "release_workflow"
    CREATE_TASK = "create_task"
    UPDATE_TASK = "update_task"
    DEPLOY = "deploy"
    PAUSE_WORKFLOW = "pause_workflow"
    RESUME_WORKFLOW = "resume_workflow"
    ARCHIVE_AUTOMATION = "archive_automation"
    MANAGE_CREDENTIALS = "manage_credentials"
    PROVIDER_INCIDENT = "provider_incident"
    HOLD_DECISION = "hold_decision"
    END_HOLD = "end_hold"
    STAFF_ACCESS = "staff_access"
    CHANGE_SYSTEM_CONFIG = "change_system_config"
    HOLD_AT_GATE = "hold_at_gate"
    RELEASE_AT_GATE = "release_at_gate"
    OPEN_CASE = "open_case"
    CHANGE_CASE = "change_case"
    UPDATE_BASELINE = "update_baseline"


class Channel(StrEnum):
    """How a notification travels."""

    EMAIL = "email"
    IN_APP = "in_app"  #: the row itself is the delivery
    SLACK = "slack"
    WEBHOOK = "webhook"  #: signed after the Standard Webhooks convention
    ON_CALL = "on_call"  #: a pager's webhook, in the form of PagerDuty's events


class Audience(StrEnum):
    """Who a notification is meant for."""

    CLIENT = "client"  #: contacts of the owning tenant, nobody else
    OPS = "ops"
    PLATFORM_ADMIN = "platform_admin"
    ON_CALL = "on_call"
    ANALYTICS = "analytics"


class Severity(StrEnum):
    """How a notification is shown."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class NotificationStatus(StrEnum):
    """How far a notification has come."""

    PENDING = "pending"  #: waits for its job
    DELIVERED = "delivered"
    FAILED = "failed"  #: the last try has failed too
    CANCELLED = "cancelled"  #: taken back before it left
    FOLDED = "folded"  #: told by another one, which says how many there were
    MUTED = "muted"  #: not told: a silence or a provider's incident covers it


class StormRule(StrEnum):
    """Why a notification waits to be told together with others (60.5)."""

    CAUSE = "cause"  #: the same cause was told just now
    CREDIT_CASES = "credit_cases"  #: so were many credit cases
    TENANT = "tenant"  #: so was much of this tenant


class DeliveryOutcome(StrEnum):
    """What one try to deliver gave."""

    DELIVERED = "delivered"
    RETRY = "retry"  #: not taken; will be tried again
    FAILED = "failed"  #: not taken; was the last try, or never will be


class Template(StrEnum):
    """Texts that may be sent (30.3); each has files in `lifecycle/templates`."""

    AUTOMATION_BLOCKED = "automation_blocked"
    CREDENTIALS_FAILED_CRITICAL = "credentials_failed_critical"
    WORKFLOW_BLACKLISTED = "workflow_blacklisted"
    SILENCE = "silence"
    BUILD_STARTED = "build_started"
    QA_STARTED = "qa_started"
    READY_TO_LAUNCH = "ready_to_launch"
    AUTOMATION_UNBLOCKED = "automation_unblocked"
    AUTOMATION_LIVE = "automation_live"
    DEPLOYMENT_SUCCESS = "deployment_success"
    DEPLOYMENT_PROBLEM = "deployment_problem"
    WORKFLOW_PAUSED = "workflow_paused"
    WORKFLOW_RESUMED = "workflow_resumed"
    ARCHIVED = "archived"
    PROVIDER_INCIDENT = "provider_incident"
    DECISIONS_HELD = "decisions_held"
    CHANNEL_FAILING = "channel_failing"
    WORKFLOW_RELEASED = "workflow_released"
    CREDIT_CASE = "credit_case"
    CREDIT_CASE_OVERDUE = "credit_case_overdue"
    CREDIT_HEALTH = "credit_health"
    CREDIT_REVIEW = "credit_review"
    BASELINES_UPDATED = "baselines_updated"
    SPEND_ANOMALY = "spend_anomaly"


class SpendRise(StrEnum):
    """How a workflow or a tenant came to spend more than it usually does (50.9)."""

    BURST = "spend_burst"  #: in one hour
    DRIFT = "spend_drift"  #: from week to week


class BaselineStatus(StrEnum):
    """How far an approved baseline has come (50.3)."""

    PROPOSED = "proposed"  #: waits for somebody's word
    CURRENT = "current"  #: runs are compared with it
    REPLACED = "replaced"  #: was in force, until another one was
    REJECTED = "rejected"  #: was proposed, and never came into force


class BaselineOrigin(StrEnum):
    """How a baseline came about."""

    MEASURED = "measured"  #: the median of healthy runs, within a week's bounds
    APPROVED = "approved"  #: a proposal that somebody agreed to
    IMPORTED = "imported"  #: from a file, by hand


class CreditJob(StrEnum):
    """What credit monitoring does when it is asked to."""

    UPDATE_BASELINES = "update_baselines"
    WEEKLY_REVIEW = "weekly_review"
    LOG = "log"  #: take in runs


class JobOrigin(StrEnum):
    """What asked for a job."""

    CALENDAR = "calendar"
    BY_HAND = "by_hand"
    WEBHOOK = "webhook"


class JobOutcome(StrEnum):
    """What became of a job's last try."""

    RUNNING = "running"
    DONE = "done"
    RETRY = "retry"  #: it failed, and there will be another
    FAILED = "failed"  #: the last try has failed too
