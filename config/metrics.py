"""Every metric this project exposes: one closed list, names in one place (spec 80.4).

Labels are bounded by design: never a tenant, a workflow or an id.
"""

from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("breakwater_events_total", "Run events read, by outcome (used, duplicate).", ["outcome"])
EVENTS_LATE = Counter("breakwater_events_late_total", "Run events later than the allowed lateness.")
DEAD_LETTERS = Counter("breakwater_dead_letters_total", "Messages that can't be used, by reason code.", ["code"])
EVENTS_PARKED = Gauge("breakwater_events_parked", "Events that wait for the registry, by partition.", ["partition"])
EVENTS_GIVEN_UP = Counter(
    "breakwater_events_given_up_total", "Events that waited for the registry and had to make room for others."
)
CONFLICTING_TERMINAL = Counter(
    "breakwater_conflicting_terminal_total",
    "Second terminal events of an execution that differ from the first.",
)
WATERMARK = Gauge("breakwater_watermark_seconds", "Watermark of a source partition, Unix time.", ["partition"])
WORKFLOWS_IN_MEMORY = Gauge("breakwater_workflows_in_memory", "Workflows that a lane remembers.", ["lane"])
STATE_BYTES = Gauge("breakwater_state_bytes", "State of a lane in the recovery folder.", ["lane"])
SNAPSHOT_SECONDS = Histogram(
    "breakwater_snapshot_seconds",
    "Time that a lane stands still for its snapshot.",
    buckets=(0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DECISIONS = Counter("breakwater_decisions_total", "Decisions made, by kind.", ["kind"])
POLICY_MISCONFIGURED = Counter(
    "breakwater_policy_misconfigured", "Policies refused because their values make no sense."
)
DECISIONS_APPLIED = Counter(
    "breakwater_decisions_applied_total",
    "Decisions handed to the services sink, by outcome.",
    ["kind", "outcome"],
)
DECISION_LATENCY = Histogram(
    "breakwater_decision_latency_seconds",
    "Event time of the cause to commit of its effects.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 7200),
)
SINK_BATCH_SECONDS = Histogram("breakwater_sink_batch_seconds", "Time to apply one batch of decisions.", ["sink"])
SINK_RETRIES = Counter("breakwater_sink_retries_total", "Batches tried again because a store was away.", ["sink"])
CREDIT_RUNS_RECORDED = Counter(
    "breakwater_credit_runs_total", "Runs with credits handed to the ledger, by what became of them.", ["outcome"]
)
CREDIT_CASES_OVERDUE = Counter(
    "breakwater_credit_cases_overdue_total", "Credit cases that nobody acknowledged in time, by severity.", ["severity"]
)
CREDIT_JOBS = Counter(
    "breakwater_credit_jobs_total",
    "Tries of credit monitoring's weekly jobs, by what became of them.",
    ["job", "outcome"],
)
NOTION_PAGES = Counter(
    "breakwater_notion_pages_total",
    "Attempts to write pages in Notion, by what they are of and outcome.",
    ["kind", "outcome"],
)
NOTION_STAGES = Counter(
    "breakwater_notion_stages_total",
    "Pages of cases that were changed in Notion and read from there, by what came of it.",
    ["outcome"],
)
BLOCK_SKIPPED = Counter(
    "breakwater_block_skipped_total",
    "Credential blocks not applied because of the automation's status.",
    ["status"],
)
DELIVERIES = Counter(
    "breakwater_deliveries_total",
    "Notifications handed over, by channel and outcome.",
    ["channel", "outcome"],
)
KAFKA_LAG = Gauge("breakwater_kafka_lag", "Messages not yet read, by topic and partition.", ["topic", "partition"])
KAFKA_LOST = Counter("breakwater_kafka_messages_lost_total", "Messages that retention dropped unread.", ["topic"])
INGEST_ITEMS = Counter(
    "breakwater_ingest_items_total",
    "Items that came by other ways than the topic of run events, by input and outcome (accepted, ignored, refused).",
    ["input", "outcome"],
)
INGEST_REQUESTS = Counter("breakwater_ingest_requests_total", "Requests with run events, by HTTP status.", ["status"])
BLACKLIST_FALLBACKS = Counter(
    "breakwater_blacklist_fallbacks_total",
    "Questions about the blacklist that the copy in memory could not answer, by who did (redis, postgres, nobody).",
    ["answered_by"],
)
ADMISSIONS = Counter(
    "breakwater_admissions_total",
    "Requests to start a run, by gate (http, stream) and answer (admitted, or why not).",
    ["gate", "answer"],
)
ENFORCEMENT_PROPAGATION = Histogram(
    "breakwater_enforcement_propagation_seconds",
    "From the moment whose facts an answer rests on until it was out: how late a block can reach this gate.",
    ["gate"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ENFORCEMENT_LEAKS = Counter(
    "breakwater_enforcement_leaks_total",
    "Runs that started without an admission, or more than a second after it was forbidden, by kind.",
    ["kind"],
)
SYSTEM_CONFIG_INVALID = Counter(
    "breakwater_system_config_invalid_total",
    "Stored settings that make no sense, each time that they were read, by key; the last good one stays in force.",
    ["key"],
)
STUCK_COUNTS = Counter(
    "breakwater_stuck_counts_total", "Counts of stuck executions, by who counted (redis, postgres).", ["counted_by"]
)


@dataclass(frozen=True, slots=True)
class ReadGauge:
    """A gauge without a value in this process: it is read from the database when somebody asks."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


DATABASE_UP = ReadGauge("breakwater_database_up", "Whether the database answered this scrape (1) or not (0).")
AUTOMATIONS_BLOCKED = ReadGauge("breakwater_automations_blocked", "Automation versions that are Blocked now.")
WORKFLOWS_BLACKLISTED = ReadGauge("breakwater_workflows_blacklisted", "Workflows on the blacklist now.")
TASKS_OPEN = ReadGauge("breakwater_tasks_open", "Open tasks, by kind and priority.", ("kind", "priority"))
PROVIDER_INCIDENTS = ReadGauge("breakwater_provider_incidents", "Provider incidents that are open now.")
HOLDS = ReadGauge("breakwater_holds", "Decisions that the guard holds now, by the kind of hold.", ("kind",))
CASES_OPEN = ReadGauge("breakwater_cases_open", "Credit cases that are not resolved, by severity.", ("severity",))
NOTION_FAILING = ReadGauge(
    "breakwater_notion_failing", "Requests in a row that failed, by part of Notion (0: it works).", ("part",)
)
NOTION_RUNS_BEHIND = ReadGauge(
    "breakwater_notion_runs_behind", "Rows of the ledger that were not looked at yet for Notion."
)
OUTBOX_WAITING = ReadGauge(
    "breakwater_outbox_waiting", "Notices and events that were committed and have not left yet, by queue.", ("queue",)
)
OUTBOX_AGE = ReadGauge("breakwater_outbox_age_seconds", "How long the oldest of them has waited, by queue.", ("queue",))
PLATFORM_INTENTS = ReadGauge("breakwater_platform_intents", "What was asked of the platform and is not settled yet.")
DECISIONS_RECORDED = ReadGauge(
    "breakwater_decisions_recorded", "Decisions in the database, by kind (applied, refused or held).", ("kind",)
)
DEAD_LETTERS_REPLAYED = ReadGauge(
    "breakwater_dead_letters_replayed", "Dead letters that were fed in again, by reason code.", ("code",)
)
