"""Reviews in an archive that speaks S3, over TCP."""

from collections.abc import Iterator
from urllib.request import Request, urlopen

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from lifecycle.credits.review_files import ArchiveError, archive_review

NAME = "weekly_2026-W10_@all.r1.json"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """A server with the bucket `kept`, found by the usual variables."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    # What it keeps, it keeps for all servers of a process.
    with urlopen(Request(f"{url}/moto-api/reset", method="POST"), timeout=10):
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3-secret-4242")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    # Clients are kept by their arguments, which don't tell one test's server from another's.
    fsspec.filesystem("s3", skip_instance_cache=True).clear_instance_cache()
    files = fsspec.filesystem("s3")
    files.mkdir("kept", region_name="eu-central-1")
    yield files
    files.clear_instance_cache()
    server.stop()


def test_a_review_is_put_there_with_its_hash_again_over_the_first(s3: fsspec.AbstractFileSystem) -> None:
    for document in (b"{}", b'{"again": true}'):
        archive_review("s3://kept/reviews/credits", NAME, document, "abc")
    there = {path: s3.cat(path) for path in s3.find("kept")}
    assert there == {
        f"kept/reviews/credits/{NAME}": b'{"again": true}',
        f"kept/reviews/credits/{NAME}.sha256": f"abc  {NAME}\n".encode(),
    }


def test_a_bucket_that_is_not_there_is_not_made(s3: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(ArchiveError) as refused:
        archive_review("s3://mistyped/reviews", NAME, b"{}", "abc")
    assert str(refused.value) == "FileNotFoundError"
    assert [one.rstrip("/") for one in s3.ls("")] == ["kept"]
