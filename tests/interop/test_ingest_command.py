"""`breakwater api` with the ingest: alone, and when its settings can't be used."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2 as httpx

from tests.interop.interop_given import PATIENCE


@contextmanager
def a_process(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "api", "--port", "0", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_alone_it_listens_beyond_loopback_and_serves_no_console(database_url: str) -> None:
    with a_process("--only-ingest", "--host", "0.0.0.0", BREAKWATER_POSTGRES__URL=database_url) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ingest: http://0.0.0.0:")
        url = line.removeprefix("ingest: ").strip().replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.get(f"{url}/metrics").status_code == 200
        assert httpx.get(f"{url}/console/tasks").status_code == 404
        assert httpx.post(f"{url}/v1/run-events", content=b"{}").status_code == 401


def test_a_key_that_can_not_be_one_ends_it() -> None:
    with a_process(BREAKWATER_INGEST__TOKEN_KEY="hunter2", BREAKWATER_INGEST__TOKEN_ALGORITHM="HS256") as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "BREAKWATER_INGEST__TOKEN_KEY: shorter than 32 bytes" in said
    assert "hunter2" not in said


def test_senders_that_can_not_be_used_end_it_and_no_secret_is_said() -> None:
    senders = '{"make": {"tenant_id": "t1", "secrets": ["hunter2"]}}'
    with a_process(BREAKWATER_INGEST__SENDERS=senders) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "BREAKWATER_INGEST__SENDERS" in said
    assert "hunter2" not in said
