"""docker-compose.yml: valid by the Compose Specification, complete, pinned, and it says nothing that isn't so."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from cli.main import COMMANDS, app
from config.settings import Settings

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests" / "data" / "compose-spec" / "compose-spec.json"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]

#: A tag that says an exact version: three numbers, or two for PostgreSQL, then what it stands on.
EXACT_TAG = re.compile(r"^v?\d+\.\d+(\.\d+)?(-\w+)?$")

each_service = pytest.mark.parametrize("name", SERVICES)


@cache
def setting_names() -> frozenset[str]:
    """Every environment variable that `Settings` reads."""
    names = set()
    for field, info in Settings.model_fields.items():
        section = getattr(info.annotation, "model_fields", None)
        names |= {f"{field}__{inner}" for inner in section} if section else {field}
    return frozenset(f"BREAKWATER_{name}".upper() for name in names)


def schema_errors(document: dict[str, Any]) -> list[str]:
    schema = json.loads(SCHEMA.read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def test_it_is_valid_by_the_compose_specification() -> None:
    assert schema_errors(COMPOSE) == []


def test_the_schema_would_see_a_misspelt_key() -> None:
    assert schema_errors({"services": {"api": {"image": "a:1", "depend_on": ["b"]}}}) != []


def test_it_holds_the_whole_stack() -> None:
    assert set(OURS) == {"migrate", "init-topics", "monitor", "api", "worker", "gate", "gate-audit"}
    assert set(SERVICES) - set(OURS) == {"kafka", "postgres", "redis", "mail", "prometheus", "grafana"}


@each_service
def test_an_image_is_pinned_by_an_exact_tag(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image
    assert EXACT_TAG.match(tag), tag


def test_the_images_of_the_dockerfile_are_pinned_by_an_exact_tag() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+-\w+", base) for base in bases), bases


@each_service
def test_what_is_mounted_or_built_from_is_there(name: str) -> None:
    service = SERVICES[name]
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]
    if "build" in service:
        assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", OURS)
def test_an_environment_variable_is_a_setting(name: str) -> None:
    assert set(SERVICES[name]["environment"]) <= setting_names()


def test_the_settings_that_are_secret_or_an_address_are_all_given() -> None:
    # A default of one of these points at this container itself.
    needed = {"POSTGRES__URL", "REDIS__URL", "KAFKA__BOOTSTRAP_SERVERS", "SMTP__HOST", "SMTP__PORT", "HTTP__HOST"}
    for name in OURS:
        assert {f"BREAKWATER_{key}" for key in needed} <= set(SERVICES[name]["environment"])


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_one_that_the_program_takes(name: str) -> None:
    command, *arguments = SERVICES[name]["command"]
    assert command in COMMANDS
    group = typer.main.get_command(app)
    root = group.make_context("breakwater", [command], resilient_parsing=True)
    single = group.get_command(root, command)
    single.make_context(command, arguments, parent=root)


@each_service
def test_a_dependency_is_a_service_and_its_condition_can_come_true(name: str) -> None:
    for dependency, given in SERVICES[name].get("depends_on", {}).items():
        needed = SERVICES[dependency]
        match given["condition"]:
            case "service_healthy":
                assert "healthcheck" in needed
            case "service_completed_successfully":
                assert needed["restart"] == "no"
            case other:
                pytest.fail(f"{dependency}: {other} doesn't wait until it is ready")


@each_service
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize(
    "job", yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
)
def test_prometheus_scrapes_services_that_are_there(job: dict[str, Any]) -> None:
    for target in (target for config in job["static_configs"] for target in config["targets"]):
        host, _, port = target.partition(":")
        assert job["job_name"] == f"breakwater-{host}"
        assert any(argument.endswith(f"port={port}") for argument in SERVICES[host]["command"])
