"""What the demo's processes are told, and the command that knows where everything is."""

import os
import stat
import subprocess
from pathlib import Path

import jwt
import pytest

from cli.demo.settings import environment, settings_of, write_command
from config.settings import Settings

KEY = "a key of forty-two letters, which is enough"


@pytest.mark.parametrize(
    "variable",
    [
        pytest.param("BREAKWATER_SLACK__URL", id="one with the prefix"),
        pytest.param("breakwater_guard__budget_floor", id="one with the prefix, in small letters"),
        pytest.param("NOTION_TOKEN", id="one with a name of its own"),
        pytest.param("slack_webhook_url_sev1", id="one with a name of its own, in small letters"),
    ],
)
def test_no_setting_of_the_audience_reaches_the_demo(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "theirs")
    assert variable not in environment(settings_of(tmp_path, {}))


def test_what_is_no_setting_reaches_it(tmp_path: Path) -> None:
    assert environment(settings_of(tmp_path, {}))["PATH"] == os.environ["PATH"]


def test_its_settings_are_settings_and_all_files_are_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings_of(Path(".demo"), {"SMTP__PORT": "2525"}).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.smtp.port == 2525
    paths = [settings.credit_baselines_path, settings.reviews_dir]
    assert all(path.is_absolute() and path.is_relative_to(tmp_path / ".demo") for path in paths)


def test_the_command_has_the_settings_wherever_it_is_called_and_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "somebody's own demo"
    folder.mkdir()
    write_command(folder, settings_of(folder, {"AUTH__DEVELOPMENT_KEY": "that of yesterday"}))
    command = write_command(folder, settings_of(folder, {"AUTH__DEVELOPMENT_KEY": KEY}))
    done = subprocess.run(
        [command, "token", "--staff", "--role", "admin"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    claims = jwt.decode(done.stdout.strip(), KEY, algorithms=["HS256"], audience="breakwater")
    assert claims["roles"] == ["admin"]
    assert stat.S_IMODE(command.stat().st_mode) == 0o700
