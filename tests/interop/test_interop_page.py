"""docs/interop.md: what it shows works."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.embedded.kafka import MockKafka
from dataflows.interop.event_ids import event_id_of
from tests.interop.interop_given import SECRET, a_server, token

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"


def examples() -> list[str]:
    """The shell's lines, in the order of the page."""
    return re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not here")
def test_every_example_is_accepted(database_url: str, mock_kafka: MockKafka) -> None:
    with a_server(database_url, mock_kafka) as server:
        environment = {**os.environ, "URL": server.url, "SECRET": SECRET, "TOKEN": token()}
        said = []
        for example in examples():
            script = f"set -euo pipefail\n{example}"
            ended = subprocess.run(
                ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert ended.returncode == 0, example + ended.stdout + ended.stderr
            said.append(ended.stdout)
        events = server.events(7)
    assert all('"refused":0' in text for text in said[:-1])
    assert said[-1].split()[0] == event_id_of("/jobs", "42")
    assert [event["execution_id"] for event in sorted(events, key=lambda one: one["execution_id"])] == [
        "019127de-fd25-7707-bfa4-3ec02693a531",
        "RUN-20260123-001",
        "job-17",
        "job-18",
        "job-18",
        "job-19",
        "job-20",
    ]
    assert {event["tenant_id"] for event in events} == {"t1"}
