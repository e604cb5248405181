"""Options that several commands share, and how a command says that it was used wrongly."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from config.credit_baselines import UnusableBaselinesError, read_baselines
from config.policies import MisconfiguredPolicyError, load_policies, parse_policies
from dataflows.detectors.policies import Policies
from dataflows.events import BaselineChange
from dataflows.registry import Registry, TrustingRegistry, UnreadableRegistryError, read_registry

PoliciesFile = Annotated[Path | None, typer.Option(help="Thresholds; the shipped ones by default.", metavar="FILE")]
RegistryFile = Annotated[
    Path | None, typer.Option(help="Who owns which version; without it events are trusted.", metavar="FILE")
]
BaselinesFile = Annotated[
    Path | None, typer.Option(help="Approved baselines of scenarios; without it they are learned.", metavar="FILE")
]
AllowedLateness = Annotated[str, typer.Option(help="Disorder that changes no decision.", metavar="DURATION")]


def fail_usage(message: str) -> NoReturn:
    """End the command with exit code 2: it was used wrongly, or a file can't be read."""
    typer.echo(f"breakwater: {message}", err=True)
    raise typer.Exit(2)


def read_policies(path: Path | None, allowed_lateness: timedelta) -> Policies:
    """The policies of a file, the defaults without one; exit 2 with every fault named."""
    try:
        if path is None:
            return parse_policies(None, allowed_lateness=allowed_lateness)
        return load_policies(path, allowed_lateness=allowed_lateness)
    except MisconfiguredPolicyError as error:
        name = "the shipped policies" if path is None else path
        fail_usage("\n  ".join([f"{name}: misconfigured policy", *error.faults]))
    except OSError as error:
        fail_usage(f"{path}: {error.strerror}")


def read_registry_option(path: Path | None) -> Registry:
    """The registry of a file, a trusting one without it; exit 2 when it can't be read."""
    if path is None:
        return TrustingRegistry()
    try:
        return read_registry(path)
    except UnreadableRegistryError as error:
        fail_usage(f"{path}: {error}")
    except OSError as error:
        fail_usage(f"{path}: {error.strerror}")


def read_baselines_option(path: Path | None) -> list[tuple[str, BaselineChange]]:
    """The approved baselines of a file, none without it; exit 2 with every fault named."""
    if path is None:
        return []
    try:
        return read_baselines(path)
    except UnusableBaselinesError as error:
        fail_usage("\n  ".join([f"{path}: no usable baselines", *error.faults]))
    except OSError as error:
        fail_usage(f"{path}: {error.strerror}")
