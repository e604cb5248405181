"""Every setting, read once at the entry point from the environment (prefix `BREAKWATER_`) or `.env`.

Only entry points call `load_settings`; everything else is handed the smallest part that it needs.
Validation contacts nothing.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.durations import parse_duration

#: A `timedelta`, written `90s`, `15m`, `24h` or `30d`.
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Section(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Postgres(Section):
    """The database: the truth about automations, tasks and decisions."""

    url: SecretStr = SecretStr("postgresql+psycopg://breakwater@127.0.0.1:5432/breakwater")
    pool_size: int = Field(default=5, ge=1, description="connections a process may hold")


class Redis(Section):
    """The cache: makes things fast and may vanish."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")


class Kafka(Section):
    """The log that run events are read from."""

    bootstrap_servers: str = "127.0.0.1:9092"
    events_topic: str = "run_events"
    control_topic: str = "monitor_control"
    status_topic: str = Field(default="automation_status_changed", description="what other systems learn of statuses")
    dead_letter_topic: str = "run_events.dead_letter"
    decisions_dead_letter_topic: str = "decisions.dead_letter"
    fetch_wait: Duration = Field(
        default=timedelta(milliseconds=20),
        description="how long the broker may wait to fill a fetch; adds to latency",
    )


class Smtp(Section):
    """Where email is handed over."""

    host: str = "127.0.0.1"
    port: int = Field(default=25, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    starttls: bool = False
    sender: str = "breakwater@localhost"


class Stream(Section):
    """Time and state of the stream (spec 10)."""

    allowed_lateness: Duration = Field(default=timedelta(seconds=60), description="disorder that changes no decision")
    max_future_skew: Duration = Field(
        default=timedelta(minutes=5),
        description="an event further ahead of the receiving clock is a dead letter",
    )
    snapshot_interval: Duration = Field(
        default=timedelta(seconds=10), description="recovery epoch: what a restart replays at most"
    )


class Http(Section):
    """Where the API, the console and `/metrics` listen."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str = Field(default="http://127.0.0.1:8080", description="prefix of links in tasks and notices")


class Settings(BaseSettings):
    """All settings; nested ones are written `BREAKWATER_KAFKA__EVENTS_TOPIC`."""

    model_config = SettingsConfigDict(
        env_prefix="BREAKWATER_", env_nested_delimiter="__", env_file=".env", extra="forbid", frozen=True
    )

    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    kafka: Kafka = Kafka()
    smtp: Smtp = Smtp()
    stream: Stream = Stream()
    http: Http = Http()
    ops_email: str = Field(default="ops@localhost", description="who is told of blocks and blacklistings")
    log_format: str = Field(default="console", pattern="^(console|json)$")


def load_settings() -> Settings:
    """Settings from the environment; `pydantic.ValidationError` names every fault."""
    return Settings()
