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
