"""The settings of the demo's processes, which none of the audience's own reaches, and a command for who wants them."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import cli
from config.settings import Settings

COMMAND = "breakwater"
#: Where baselines and reviews are written.
CREDITS = "credits"
_PREFIX = "BREAKWATER_"
#: Settings that have names of their own.
_NAMED = frozenset(str(field.validation_alias) for field in Settings.model_fields.values() if field.validation_alias)
#: Where the code is.
_PROJECT = Path(cli.__file__).resolve().parents[1]


def settings_of(folder: Path, addresses: Mapping[str, str]) -> dict[str, str]:
    """The demo's settings: those given, by their names without the prefix, and files in its folder alone."""
    files = {"CREDIT_BASELINES_PATH": folder / CREDITS / "baselines.json", "REVIEWS_DIR": folder / CREDITS / "reviews"}
    return {f"{_PREFIX}{name}": value for name, value in addresses.items()} | {
        name: str(path.absolute()) for name, path in files.items()
    }


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What its processes get: they work in its folder, where no `.env` is, so they are told where the code is."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_PREFIX) and name.upper() not in _NAMED
    }
    path = os.pathsep.join([str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return kept | dict(settings) | {"PYTHONPATH": path}


def write_command(folder: Path, settings: Mapping[str, str]) -> Path:
    """Write `breakwater` with these settings into the folder, for its owner alone since passwords are in it."""
    command = folder / COMMAND
    command.unlink(missing_ok=True)
    command.touch(mode=0o700)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    program = shlex.quote(str(Path(sys.executable).with_name(COMMAND).absolute()))
    command.write_text("\n".join(["#!/bin/sh", *exports, f'exec {program} "$@"', ""]))
    return command
