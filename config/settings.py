"""Every setting, read once at the entry point from the environment (prefix `BREAKWATER_`) or `.env`.

Only entry points call `load_settings`; everything else is handed the smallest part that it needs.
Validation contacts nothing.
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.durations import parse_duration

#: A `timedelta`, written `90s`, `15m`, `24h` or `30d`.
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


#: How the librdkafka properties begin that say how to connect.
_CONNECTION = ("security.protocol", "sasl.", "ssl.", "enable.ssl.", "socket.", "client.", "broker.address.")


class Section(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _begins_with(*schemes: str) -> AfterValidator:
    """A secret address of one of these schemes; the fault says nothing of its value."""

    def check(url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
            is_address = parts.scheme in schemes and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address:
            raise ValueError(f"must be an address that begins with {' or '.join(f'{one}://' for one in schemes)}")
        return url

    return AfterValidator(check)


class Postgres(Section):
    """The database: the truth about automations, tasks and decisions."""

    url: Annotated[SecretStr, _begins_with("postgresql+psycopg", "postgresql")] = Field(
        default=SecretStr("postgresql+psycopg://breakwater@127.0.0.1:5432/breakwater"),
        description="the database, with user and password; never logged",
    )
    pool_size: int = Field(default=5, ge=1, description="connections a process may hold")


class Redis(Section):
    """The cache: makes things fast and may vanish."""

    url: Annotated[SecretStr, _begins_with("redis", "rediss", "unix")] = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"), description="the cache; may be away at any time"
    )


class Kafka(Section):
    """The log that run events are read from."""

    bootstrap_servers: str = Field(default="127.0.0.1:9092", description="brokers, host:port, separated by commas")
    client: dict[str, SecretStr] = Field(
        default={},
        description="how to connect: a JSON object of librdkafka's properties `security.protocol`, `sasl.*`, `ssl.*`, "
        "`enable.ssl.*`, `socket.*`, `client.*` and `broker.address.*`; never logged",
    )
    sasl_password: SecretStr | None = Field(default=None, description="librdkafka's `sasl.password`; never logged")
    events_topic: str = Field(default="run_events", description="the run events, keyed by workflow")
    control_topic: str = Field(
        default="monitor_control", description="control events; as many partitions as the run events' topic"
    )
    status_topic: str = Field(default="automation_status_changed", description="what other systems learn of statuses")
    dead_letter_topic: str = Field(
        default="run_events.dead_letter", description="messages that can't be used, as they came"
    )
    decisions_dead_letter_topic: str = Field(
        default="decisions.dead_letter", description="decisions that can never be applied"
    )
    credential_topic: str = Field(
        default="credential_events", description="what integration monitors find out about credentials"
    )
    requests_topic: str = Field(
        default="execution_requests", description="who wants to start a run, for `breakwater gate`"
    )
    jobs_topic: str = Field(default="execution_jobs", description="runs that the gate admitted")
    requests_dead_letter_topic: str = Field(
        default="execution_requests.dead_letter", description="requests that can't be answered, as they came"
    )
    credential_group: str = Field(
        default="breakwater-credentials", description="the consumer group of the workers that read it"
    )
    fetch_wait: Duration = Field(
        default=timedelta(milliseconds=20),
        description="how long the broker may wait to fill a fetch; adds to latency",
    )
    lanes: int | None = Field(
        default=None,
        ge=1,
        description="lanes of a new recovery store, a divisor of the partitions; by default their number",
    )
    growth_check: Duration = Field(
        default=timedelta(seconds=10), description="how often it is looked whether topics have grown"
    )
    outage_grace: Duration = Field(
        default=timedelta(seconds=30),
        description="how long after an outage no clock is followed: producers must have come back and written by then",
    )

    @field_validator("client")
    @classmethod
    def _only_the_connection(cls, client: dict[str, SecretStr]) -> dict[str, SecretStr]:
        """Whatever else a client does is decided by the code that makes it, and correct for no other reason."""
        strange = sorted(name for name in client if not name.startswith(_CONNECTION))
        if strange:
            raise ValueError(f"not a property of the connection: {', '.join(strange)}")
        return client


class Smtp(Section):
    """Where email is handed over."""

    host: str = Field(default="127.0.0.1", description="the mail server")
    port: int = Field(default=25, ge=1, le=65535, description="its port")
    username: str | None = Field(default=None, description="who signs in there; nobody by default")
    password: SecretStr | None = Field(default=None, description="with this password")
    starttls: bool = Field(default=False, description="whether the connection must be encrypted first")
    sender: str = Field(default="breakwater@localhost", description="whom mail is from")


def _https(url: str) -> str:
    """Let no message leave this machine unencrypted."""
    try:
        parts = urlsplit(url)
        is_local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_local)
        is_address = bool(parts.hostname) and is_safe and parts.port != 0
    except ValueError:
        # Whose text quotes parts of the address.
        is_address = False
    if not is_address:
        raise ValueError("not an address with https (http is for this machine alone)")
    return url


def _secret_https(url: SecretStr) -> SecretStr:
    _https(url.get_secret_value())
    return url


def _standard_secret(secret: SecretStr) -> SecretStr:
    """24 to 64 bytes in base64, as the convention has it."""
    try:
        key = b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not 24 <= len(key) <= 64:
        raise ValueError("not `whsec_` and 24 to 64 bytes in base64")
    return secret


class Slack(Section):
    """A Slack channel of operations."""

    url: Annotated[SecretStr, AfterValidator(_secret_https)] | None = Field(
        default=None, description="its incoming webhook; never logged; no Slack by default"
    )


def _blank_is_none(value: object) -> object:
    """A variable that is set to nothing is not set."""
    return None if value == "" else value


#: An incoming webhook of Slack, by the name of its variable alone.
SlackUrl = Annotated[Annotated[SecretStr, AfterValidator(_secret_https)] | None, BeforeValidator(_blank_is_none)]


def _notion_id(value: str) -> str:
    """32 hexadecimal digits, with dashes or without, as the address of a database ends."""
    digits = value.replace("-", "")
    if len(digits) != 32 or not set(digits) <= set("0123456789abcdefABCDEF"):
        raise ValueError("not the id of a database: 32 hexadecimal digits")
    return digits.lower()


def _header_secret(secret: SecretStr) -> SecretStr:
    """What a header can carry."""
    value = secret.get_secret_value()
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ValueError("not a token: it has characters that no token has")
    return secret


#: A database of Notion, by its id.
NotionId = Annotated[Annotated[str, AfterValidator(_notion_id)] | None, BeforeValidator(_blank_is_none)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionAccess:
    """How Notion is reached, and which databases there are."""

    token: SecretStr
    base_url: str
    runs: str | None
    cases: str | None
    reviews: str | None
    tasks: str | None
    receipts: str | None
    #: Runs that are less grave are left out.
    runs_min_severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackAddresses:
    """Where messages to Slack go; none of it is ever shown."""

    #: All that no other address is for.
    main: SecretStr
    #: What credit monitoring tells, where there is no address for its severity.
    credits: SecretStr
    #: By `SEV0`, `SEV1`, `SEV2`.
    by_severity: Mapping[str, SecretStr]

    def of_credits(self, severity: object) -> SecretStr:
        """Where a message of credit monitoring goes; None is one without a severity."""
        return self.by_severity.get(str(severity), self.credits)


class Webhook(Section):
    """Another system that takes all notices to operations, signed after the Standard Webhooks convention."""

    url: Annotated[SecretStr, AfterValidator(_secret_https)] | None = Field(
        default=None, description="where it takes them; never logged; none by default"
    )
    secrets: list[Annotated[SecretStr, AfterValidator(_standard_secret)]] = Field(
        default=[], description="each signs, `whsec_` and base64: two while one is replaced by the other; never logged"
    )

    @model_validator(mode="after")
    def _signed(self) -> "Webhook":
        if self.url is not None and not self.secrets:
            raise ValueError("a webhook needs a secret to sign with")
        return self


class OnCall(Section):
    """A pager that takes PagerDuty's events, version 2."""

    url: Annotated[str, AfterValidator(_https)] = Field(
        default="https://events.pagerduty.com/v2/enqueue", description="where events are posted"
    )
    routing_key: SecretStr | None = Field(
        default=None, min_length=1, description="the service's integration key; never logged; no pager by default"
    )


class Stream(Section):
    """Time and state of the stream (spec 10)."""

    allowed_lateness: Duration = Field(default=timedelta(seconds=60), description="disorder that changes no decision")
    max_future_skew: Duration = Field(
        default=timedelta(minutes=5),
        description="an event further ahead of the receiving clock is a dead letter",
    )
    registry_patience: Duration = Field(
        default=timedelta(seconds=30),
        description="how long an event from Kafka waits for its version before it is a dead letter",
    )
    registry_cache_size: int = Field(
        default=2_000_000, ge=2, description="bindings held in memory at most; others are looked up when events come"
    )
    snapshot_interval: Duration = Field(
        default=timedelta(seconds=10), description="recovery epoch: what a restart replays at most"
    )


class Worker(Section):
    """The jobs of the outbox and who takes over those of a worker that died."""

    heartbeat: Duration = Field(default=timedelta(seconds=10), description="how often a worker says that it is alive")
    stalled_after: Duration = Field(
        default=timedelta(seconds=60),
        description="without a heartbeat for so long it is dead, its jobs are another's; many heartbeats long",
    )


class Http(Section):
    """Where the API, the console and `/metrics` listen."""

    host: str = Field(default="127.0.0.1", description="the address to listen on; also of every /metrics port")
    port: int = Field(default=8080, ge=0, le=65535, description="the API's port")
    public_url: str = Field(default="http://127.0.0.1:8080", description="prefix of links in tasks and notices")


class Sender(Section):
    """One who sends run events over HTTP and signs them."""

    tenant_id: str = Field(min_length=1, max_length=128, description="whose run events these are")
    secrets: list[Annotated[SecretStr, Field(min_length=16)]] = Field(
        min_length=1, description="any of them signs: two while one is replaced by the other"
    )
    signs: Literal["body", "time.body"] = Field(
        default="body", description="what is signed: the body alone, or the time, a full stop and the body"
    )


class Ingest(Section):
    """Run events over HTTP (spec 10, Other inputs)."""

    senders: dict[str, Sender] = Field(
        default={}, description="who may send by signature: a JSON object of name to `tenant_id`, `secrets` and `signs`"
    )
    signature_window: Duration = Field(
        default=timedelta(minutes=5), description="how far a signature's time may be from the clock"
    )
    token_key: SecretStr | None = Field(
        default=None,
        description="verifies service tokens: a public key in PEM, or 32 bytes and more for HS256; none by default",
    )
    token_algorithm: Literal["RS256", "ES256", "HS256"] = Field(
        default="RS256", description="how tokens are signed; HS256 for development"
    )
    token_audience: str = Field(default="breakwater", description="the `aud` that a token must have")
    token_issuer: str | None = Field(default=None, description="the `iss` that a token must have; any by default")
    max_body_bytes: int = Field(default=16 << 20, ge=1 << 10, description="the largest body")
    max_in_flight_bytes: int = Field(
        default=64 << 20, ge=1 << 10, description="bodies held at once; more are told to come back later"
    )
    delivery_timeout: Duration = Field(
        default=timedelta(seconds=10), description="how long Kafka has to acknowledge before a sender is told to retry"
    )


class Gate(Section):
    """The admission gate for requests in Kafka (spec 40.5)."""

    group: str = Field(default="breakwater-gate", description="the consumer group of the gates")
    batch: int = Field(
        default=5_000, ge=1, le=10_000, description="requests answered together at most; fewer while answers take long"
    )
    stale_after: Duration = Field(
        default=timedelta(milliseconds=800),
        gt=timedelta(0),
        description="answers that are not out after so long are judged again: a block counts within a second",
    )
    answers_kept: Duration = Field(
        default=timedelta(days=7), gt=timedelta(0), description="for how long a key gets its first answer again"
    )


class Auth(Section):
    """Who may use the API: tokens of the platform's identity provider (spec 30.7)."""

    jwks_url: Annotated[str, AfterValidator(_https)] | None = Field(
        default=None, description="where the keys are that sign tokens (RS256, ES256); https outside of this machine"
    )
    public_key: SecretStr | None = Field(default=None, description="or one public key in PEM, RS256 or ES256")
    development_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="signs and verifies tokens of `breakwater token` (HS256); for development alone; never logged",
    )
    issuer: str = Field(default="breakwater", description="the `iss` that a token must have")
    audience: str = Field(default="breakwater", description="the `aud` that a token must have")
    leeway: Duration = Field(default=timedelta(seconds=30), description="how far the issuer's clock may be from ours")
    key_lifetime: Duration = Field(
        default=timedelta(minutes=5), description="how long fetched keys are good; an unknown one is looked for at once"
    )
    key_fetch_pause: Duration = Field(
        default=timedelta(seconds=10), description="at most one fetch of keys in this time, whoever asks for what"
    )
    user_limit: str = Field(default="600/minute", description="requests of one user; more are 429")
    address_limit: str = Field(default="3000/minute", description="requests of one address")
    change_limit: str = Field(default="120/minute", description="changes of statuses by one user")

    @property
    def is_configured(self) -> bool:
        """Whether any token could let anybody in."""
        return any(key is not None for key in (self.jwks_url, self.public_key, self.development_key))


class Bridge(Section):
    """Lineage events from Kafka (`breakwater bridge`)."""

    lineage_topics: str = Field(
        default="openlineage.events", description="topics of OpenLineage events, separated by commas"
    )
    group: str = Field(default="breakwater-bridge", description="the consumer group")


class PlatformApi(Section):
    """The platform that runs the workflows (docs/platform-api.md)."""

    url: Annotated[str, AfterValidator(_https)] = Field(
        default="http://127.0.0.1:8090", description="where it listens; https outside of this machine"
    )
    token: SecretStr | None = Field(default=None, description="who we are to it, as a bearer token; never logged")
    timeout: Duration = Field(default=timedelta(seconds=10), gt=timedelta(0), description="for one try of three")


class Notices(Section):
    """How a storm of notices is kept from people (spec 60.5)."""

    group_interval: Duration = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="what is told by itself is counted over so long"
    )
    of_a_cause: int = Field(
        default=1, ge=1, description="so many notices of one cause are told by themselves within that time"
    )
    credit_cases: int = Field(
        default=10, ge=1, description="so many credit cases of a severity are told by themselves within that time"
    )
    of_a_tenant: int = Field(
        default=20, ge=1, description="so many notices of a tenant are told by themselves within that time"
    )


class Lifecycle(Section):
    """What transitions of an automation ask for (spec 30)."""

    payment_required: bool = Field(
        default=False, description="whether work begins only when it is paid, for tenants without a pricing config"
    )
    min_pass_rate: Decimal = Field(
        default=Decimal("0.95"), ge=0, le=1, description="the share of tests that must pass before a launch"
    )
    unblock_automatically: bool = Field(
        default=True, description="whether credentials that work again end a block by themselves"
    )
    unblock_needs_ops_approval: bool = Field(
        default=False, description="whether a person must agree to the end of a credential block"
    )
    deploy_needs_approval: bool = Field(default=False, description="whether a second person must agree to a deploy")


class Guard(Section):
    """The blast-radius guard (spec 30.6)."""

    incident_tenants: int = Field(
        default=5, ge=2, description="blocks for one system in so many tenants are a provider incident"
    )
    incident_window: Duration = Field(
        default=timedelta(minutes=10), gt=timedelta(0), description="when they are closer together than this"
    )
    quiet_after: Duration = Field(
        default=timedelta(minutes=15), gt=timedelta(0), description="an incident with nothing new for so long is over"
    )
    budget_floor: int = Field(default=10, ge=1, description="so many stops without a person are always allowed")
    budget_share: Decimal = Field(
        default=Decimal("0.05"), ge=0, le=1, description="or this share of the Live automations, if that is more"
    )
    budget_window: Duration = Field(default=timedelta(minutes=10), gt=timedelta(0), description="within this time")
    client_mail_delay: Duration = Field(
        default=timedelta(minutes=2),
        ge=timedelta(0),
        description="mails to clients about automatic blocks wait so long, so that they can be taken back",
    )


class Settings(BaseSettings):
    """All settings; nested ones are written `BREAKWATER_KAFKA__EVENTS_TOPIC`."""

    model_config = SettingsConfigDict(
        env_prefix="BREAKWATER_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    kafka: Kafka = Kafka()
    smtp: Smtp = Smtp()
    slack: Slack = Slack()
    webhook: Webhook = Webhook()
    on_call: OnCall = OnCall()
    stream: Stream = Stream()
    worker: Worker = Worker()
    http: Http = Http()
    ingest: Ingest = Ingest()
    bridge: Bridge = Bridge()
    gate: Gate = Gate()
    auth: Auth = Auth()
    platform: PlatformApi = PlatformApi()
    lifecycle: Lifecycle = Lifecycle()
    guard: Guard = Guard()
    notices: Notices = Notices()
    slack_webhook_url_default: SlackUrl = Field(
        default=None,
        validation_alias="SLACK_WEBHOOK_URL_DEFAULT",
        description="where Slack is told of credits, and of all else without `BREAKWATER_SLACK__URL`; never logged",
    )
    slack_webhook_url_sev0: SlackUrl = Field(
        default=None,
        validation_alias="SLACK_WEBHOOK_URL_SEV0",
        description="where credit cases of SEV0 go instead; never logged",
    )
    slack_webhook_url_sev1: SlackUrl = Field(
        default=None,
        validation_alias="SLACK_WEBHOOK_URL_SEV1",
        description="where credit cases of SEV1 go instead; never logged",
    )
    slack_webhook_url_sev2: SlackUrl = Field(
        default=None,
        validation_alias="SLACK_WEBHOOK_URL_SEV2",
        description="where credit cases of SEV2 go instead; never logged",
    )
    notion_token: Annotated[
        Annotated[SecretStr, AfterValidator(_header_secret)] | None, BeforeValidator(_blank_is_none)
    ] = Field(
        default=None,
        validation_alias="NOTION_TOKEN",
        description="the secret of an integration of Notion; never logged; no Notion by default",
    )
    notion_runs: NotionId = Field(
        default=None, validation_alias="NOTION_RUNS_LEDGER_DB_ID", description="the database that runs are written to"
    )
    notion_cases: NotionId = Field(
        default=None,
        validation_alias="NOTION_CASES_DB_ID",
        description="the database that credit cases are written to, and that stages are read from",
    )
    notion_reviews: NotionId = Field(
        default=None, validation_alias="NOTION_REVIEWS_DB_ID", description="the database of weekly reviews"
    )
    notion_tasks: NotionId = Field(
        default=None, validation_alias="NOTION_TASKS_DB_ID", description="the database of evidence hygiene tasks"
    )
    notion_receipts: NotionId = Field(
        default=None, validation_alias="NOTION_RUN_RECEIPTS_DB_ID", description="the database of run receipts"
    )
    notion_runs_min_severity: Literal["SEV0", "SEV1", "SEV2", "SEV3", "SEV4"] = Field(
        default="SEV4",
        validation_alias="NOTION_RUNS_MIN_SEVERITY",
        description="runs that are less grave are not written to Notion, which takes less than 10,000 pages an hour",
    )
    notion_base_url: Annotated[str, AfterValidator(_https)] = Field(
        default="https://api.notion.com",
        validation_alias="NOTION_BASE_URL",
        description="where Notion's API is; https outside of this machine",
    )
    credit_baselines_path: Path = Field(
        default=Path("config/credit-baselines.json"),
        validation_alias="CREDIT_BASELINES_PATH",
        description="where the baselines in force are written for other programs",
    )
    reviews_dir: Path = Field(
        default=Path("runs/CREDIT_REVIEWS"),
        validation_alias="REVIEWS_DIR",
        description="where weekly reviews are written",
    )
    reviews_archive: str | None = Field(
        default=None, description="a folder's URL that weekly reviews are copied to: file:///…, s3://…"
    )
    ops_email: str = Field(default="ops@localhost", description="who is told of blocks and blacklistings")
    log_format: Literal["console", "json"] = Field(default="console", description="for people, or an object a line")

    @property
    def slack_addresses(self) -> SlackAddresses | None:
        """Where messages to Slack go; None without Slack."""
        main = self.slack.url or self.slack_webhook_url_default
        if main is None:
            return None
        of_severities = {
            "SEV0": self.slack_webhook_url_sev0,
            "SEV1": self.slack_webhook_url_sev1,
            "SEV2": self.slack_webhook_url_sev2,
        }
        return SlackAddresses(
            main=main,
            credits=self.slack_webhook_url_default or main,
            by_severity={severity: url for severity, url in of_severities.items() if url is not None},
        )

    @property
    def notion(self) -> NotionAccess | None:
        """How Notion is reached; None without a token, whatever databases are named."""
        if self.notion_token is None:
            return None
        return NotionAccess(
            token=self.notion_token,
            base_url=self.notion_base_url.rstrip("/"),
            runs=self.notion_runs,
            cases=self.notion_cases,
            reviews=self.notion_reviews,
            tasks=self.notion_tasks,
            receipts=self.notion_receipts,
            runs_min_severity=self.notion_runs_min_severity,
        )

    @model_validator(mode="after")
    def _slack_has_a_main_address(self) -> "Settings":
        by_severity = (self.slack_webhook_url_sev0, self.slack_webhook_url_sev1, self.slack_webhook_url_sev2)
        if self.slack_addresses is None and any(by_severity):
            raise ValueError("addresses for severities need SLACK_WEBHOOK_URL_DEFAULT too")
        return self


def load_settings() -> Settings:
    """Settings from the environment; `pydantic.ValidationError` names every fault."""
    return Settings()
