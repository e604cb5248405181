"""Every command says what it is for, and offers nothing that is not the product's own."""

import pytest
from typer.testing import CliRunner

from cli.main import COMMANDS, app


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    assert f"{command} [OPTIONS]" in told.output
    assert "completion" not in told.output


def test_the_options_of_a_record_are_named_whole_on_a_narrow_terminal() -> None:
    told = CliRunner().invoke(app, ["log", "--help"], env={"COLUMNS": "80"})
    assert "--has-max-items-config / --no-has-max-items-config" in told.output
    assert "\N{HORIZONTAL ELLIPSIS}" not in told.output
