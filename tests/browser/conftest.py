"""A real browser before the real command: `breakwater api` in a process of its own, and headless Chromium."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.api.v1_given import AUTH

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium as the machine has it.

    For one module: Playwright's event loop runs in this thread as long as it is there; no other test could start one.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on PATH: the console is not tried in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def console(database_url: str) -> Iterator[str]:
    """The address of a console on this test's database."""
    with _serving(database_url) as url:
        yield url


@pytest.fixture
def console_with_sign_in(database_url: str) -> Iterator[str]:
    """The address of one where people sign in with tokens of `tests.api.v1_given`."""
    key = AUTH.development_key
    assert key is not None
    with _serving(database_url, BREAKWATER_AUTH__DEVELOPMENT_KEY=key.get_secret_value()) as url:
        yield url


@contextmanager
def _serving(database_url: str, **environment: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "api", "--port", "0"],
        env={**os.environ, "BREAKWATER_POSTGRES__URL": database_url, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("console: http://127.0.0.1:"), line
        yield line.removeprefix("console: ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode in (0, -15), "SIGTERM is a clean end"
