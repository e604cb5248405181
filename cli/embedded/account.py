"""The account that a server runs as when root starts it, and what that account can reach."""

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.process import Account

_UNPRIVILEGED = "nobody"


def server_account() -> Account | None:
    """Whom a server must become: nobody, or None when this process isn't root's."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(_UNPRIVILEGED)
    return Account(entry.pw_uid, entry.pw_gid)


def can_be_entered(path: Path) -> bool:
    """Whether any account of the system can pass through all folders above `path`, and enter or run `path` itself.

    Looks at the permission bits alone, so it may say no to one whom a list or a group lets in.
    """
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def open_to_all(folder: Path) -> None:
    """Let others read and enter what the owner can, in a folder and below."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & (stat.S_IRUSR | stat.S_IXUSR)) >> 6)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder that others can enter but not list, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="breakwater-"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def give(folder: Path, account: Account) -> None:
    """Make `account` the owner of a folder and of all in it; links aren't followed."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
