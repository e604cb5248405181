"""Settings: the page tells all of them, and a wrong one is named."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.durations import format_duration, parse_duration
from config.kafka_client import client_settings
from config.settings import Settings
from config.settings_table import render

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_that_of_the_models() -> None:
    assert PAGE.read_text() == render(), "make it anew: python -m config.settings_table > docs/settings.md"


def test_the_environment_is_read_with_nested_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAKWATER_STREAM__ALLOWED_LATENESS", "90s")
    monkeypatch.setenv("BREAKWATER_KAFKA__EVENTS_TOPIC", "runs")
    settings = Settings()
    assert settings.stream.allowed_lateness == timedelta(seconds=90)
    assert settings.kafka.events_topic == "runs"


def test_a_wrong_value_is_named_and_the_secret_beside_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAKWATER_POSTGRES__URL", "postgresql+psycopg://u:hunter2@h/d")
    monkeypatch.setenv("BREAKWATER_POSTGRES__POOL_SIZE", "0")
    with pytest.raises(ValidationError, match=r"postgres\.pool_size"):
        Settings()


@pytest.mark.parametrize(
    ("variable", "value", "scheme"),
    [
        pytest.param("BREAKWATER_POSTGRES__URL", "hunter2", "postgresql", id="no address"),
        pytest.param("BREAKWATER_POSTGRES__URL", "mysql://u:hunter2@h/d", "postgresql", id="another database"),
        pytest.param("BREAKWATER_POSTGRES__URL", "postgresql://u:hunter2@h:99999/d", "postgresql", id="no such port"),
        pytest.param("BREAKWATER_REDIS__URL", "http://:hunter2@h", "rediss", id="another cache"),
    ],
)
def test_an_address_that_leads_nowhere_is_named_but_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, scheme: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match=rf"must be an address that begins with .*{scheme}://") as refused:
        Settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("https://u:hunter2@ho\N{ACCOUNT OF}ks/x", id="a character that stands for a slash"),
        pytest.param("https://[hunter2]/x", id="no address of IPv6"),
        pytest.param("https://u:hunter2@hooks:99999/x", id="no such port"),
        pytest.param("http://hooks/hunter2", id="unencrypted"),
    ],
)
def test_a_way_to_slack_that_is_none_is_not_shown(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL_DEFAULT", address)
    with pytest.raises(ValidationError, match="not an address with https") as refused:
        Settings()
    assert "hunter2" not in str(refused.value)


def test_a_way_into_kafka_is_taken_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAKWATER_KAFKA__CLIENT", '{"security.protocol": "SASL_SSL", "ssl.key.password": "hunter1"}')
    monkeypatch.setenv("BREAKWATER_KAFKA__SASL_PASSWORD", "hunter2")
    kafka = Settings().kafka
    assert client_settings(kafka) == {
        "bootstrap.servers": "127.0.0.1:9092",
        "reconnect.backoff.max.ms": 1000,
        "log_level": 2,
        "security.protocol": "SASL_SSL",
        "ssl.key.password": "hunter1",
        "sasl.password": "hunter2",
    }
    assert "hunter" not in f"{kafka!r} {kafka} {kafka.model_dump()} {kafka.model_dump_json()}"


def test_what_is_no_property_of_the_connection_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREAKWATER_KAFKA__CLIENT", '{"auto.offset.reset": "latest", "ssl.ca.location": "ca.pem"}')
    with pytest.raises(ValidationError, match=r"not a property of the connection: auto\.offset\.reset\s"):
        Settings()


def test_a_command_ends_with_two_and_names_the_setting() -> None:
    environment = os.environ | {
        "BREAKWATER_STREAM__ALLOWED_LATENESS": "soon",
        "BREAKWATER_POSTGRES__URL": "postgresql+psycopg://u:hunter2@h/d",
    }
    command = [sys.executable, "-m", "cli", "run", "--source", "file:nothing", "--sink", "file:nothing"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "BREAKWATER_STREAM__ALLOWED_LATENESS" in done.stderr
    assert "must be a duration with a unit" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1.5h", timedelta(minutes=90)),
        ("30d", timedelta(days=30)),
    ],
)
def test_a_duration_is_read_and_written_again(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("value", ["", "15", "15 minutes", "-5m", "m", 15, None, True, "9e9d", "9" * 30 + "d"])
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="with a unit"):
        parse_duration(value)


def test_notion_is_reached_with_a_token_and_the_databases_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTION_CASES_DB_ID", "A0B1C2D3-E4F5-4617-8293-A4B5C6D7E8F9")
    assert Settings().notion is None
    monkeypatch.setenv("NOTION_TOKEN", "")
    assert Settings().notion is None
    monkeypatch.setenv("NOTION_TOKEN", "ntn_hunter2")
    notion = Settings().notion
    assert notion is not None
    assert (notion.cases, notion.runs) == ("a0b1c2d3e4f5461782" + "93a4b5c6d7e8f9", None)
    assert "hunter2" not in f"{notion} {Settings()!r}"


@pytest.mark.parametrize("token", ["ntn_hünter2", "ntn_hunter2 ", "ntn_hunter2\n"])
def test_a_token_that_no_header_can_carry_is_named_and_not_shown(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTION_TOKEN", token)
    with pytest.raises(ValidationError, match="NOTION_TOKEN") as told:
        Settings()
    assert token not in str(told.value)


def test_what_is_no_id_of_a_database_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTION_TASKS_DB_ID", "https://www.notion.so/my-page")
    with pytest.raises(ValidationError, match="NOTION_TASKS_DB_ID"):
        Settings()
