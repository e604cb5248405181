"""Weekly reviews as files: JSON with its `.sha256`, in a folder and in an archive (50.6)."""

import hashlib
from pathlib import Path
from urllib.parse import quote

import fsspec  # type: ignore[import-untyped]

from lifecycle.credits.documents import write_atomically

#: File systems allow 255 bytes; what is longer is cut, and told apart by a hash.
_MAX_NAME = 120

#: Where a folder is no more than a part of a name; to make one would make a bucket.
_WITHOUT_FOLDERS = frozenset({"s3", "gs", "abfs"})


class ArchiveError(Exception):
    """The archive did not take a file. Names the kind of error, never an address: it may hold a secret."""


def file_name(week: str, tenant_id: str | None, revision: int) -> str:
    """`weekly_<week>_<tenant>.rN.json`; the tenant as in URLs, `@all` for all of them, which none is called."""
    whose = "@all" if tenant_id is None else quote(tenant_id, safe="")
    if len(whose) > _MAX_NAME:
        whose = f"{whose[:_MAX_NAME]}~{hashlib.sha256(whose.encode()).hexdigest()[:16]}"
    return f"weekly_{week}_{whose}.r{revision}.json"


def write_review(folder: Path, name: str, document: bytes, sha256: str) -> None:
    """Write a review and its hash, in the form of `sha256sum`. `OSError` when the folder can't be written to."""
    write_atomically(folder / name, document)
    write_atomically(folder / f"{name}.sha256", _line(name, sha256))


def archive_review(url: str, name: str, document: bytes, sha256: str) -> None:
    """Copy both to a folder by its URL, over any that is there; `ArchiveError` when they can't be.

    Credentials and endpoint come from the environment, as the file system's own programs read them. A bucket is not
    made: one that is not there is a mistake.
    """
    try:
        files, folder = fsspec.core.url_to_fs(url)
        if not _WITHOUT_FOLDERS.intersection([files.protocol] if isinstance(files.protocol, str) else files.protocol):
            files.makedirs(folder, exist_ok=True)
        for one, content in ((name, document), (f"{name}.sha256", _line(name, sha256))):
            files.pipe_file(f"{folder.rstrip('/')}/{one}", content)
    except Exception as error:  # noqa: BLE001  (each file system has errors of its own)
        raise ArchiveError(type(error).__name__) from None


def _line(name: str, sha256: str) -> bytes:
    return f"{sha256}  {name}\n".encode()
