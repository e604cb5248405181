"""`breakwater api`: where it listens, and how it says no."""

import os
import socket
import subprocess
import sys

import httpx2
import pytest

from cli.api import is_loopback


def api(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "api", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("127.0.0.1", True, id="loopback"),
        pytest.param("127.9.9.9", True, id="all of 127/8"),
        pytest.param("::1", True, id="loopback, IPv6"),
        pytest.param("localhost", True, id="by name"),
        pytest.param("0.0.0.0", False, id="every interface"),
        pytest.param("::", False, id="every interface, IPv6"),
        pytest.param("10.0.0.1", False, id="a private network"),
        pytest.param("localhost.evil.example", False, id="a name that begins so"),
        pytest.param("", False, id="nothing, which means everything"),
    ],
)
def test_loopback_is_what_no_other_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_beyond_loopback_only_when_told(host: str) -> None:
    ended = api("--host", host, "--port", "0")
    assert ended.returncode == 2
    assert "--without-sign-in" in ended.stderr


def test_a_host_from_the_settings_is_no_way_around() -> None:
    ended = api("--port", "0", BREAKWATER_HTTP__HOST="0.0.0.0")
    assert ended.returncode == 2
    assert "--without-sign-in" in ended.stderr


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = api("--port", str(port))
    assert ended.returncode == 2
    assert f"can't listen on 127.0.0.1 port {port}: Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_beyond_loopback_it_warns_and_serves() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "api", "--host", "0.0.0.0", "--port", "0", "--without-sign-in"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline(), process.stdout.readline()]
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert "console_without_sign_in" in lines[0]
    assert "console: http://0.0.0.0:" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([], 303, id="with a key people sign in"),
        pytest.param(["--without-sign-in"], 200, id="unless they need not"),
    ],
)
def test_with_a_key_for_tokens_the_console_asks_who_is_there(arguments: list[str], expected: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "api", "--host", "0.0.0.0", "--port", "0", *arguments],
        env={**os.environ, "BREAKWATER_AUTH__DEVELOPMENT_KEY": "a key for tests, and for nothing else"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if line.startswith("console: "))
        url = line.split()[1].replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(f"{url}/operator", follow_redirects=False).status_code == expected
    finally:
        process.terminate()
        process.communicate(timeout=20)
