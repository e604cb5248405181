"""Folders for what runs beside this process: who may reach them, and none left behind."""

import os
import pwd
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "breakwater-"


def service_user() -> int | None:
    """Whom a server that refuses to be root runs as: `nobody` when we are root, else None (ourselves)."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def is_reachable(path: Path, user: int | None) -> bool:
    """True when `user` may pass all folders down to `path`; ourselves (None) always may."""
    if user is None:
        return True
    resolved = path.resolve()
    return all(_may_pass(folder, user) for folder in [resolved, *resolved.parents] if folder.is_dir())


def temporary_folder(user: int | None) -> Path:
    """A new folder that `user` owns; its owner removes it, or the next call after its owner died.

    Its name carries our process id; that of a dead process, and ours by user, is a leftover.
    """
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108  (mkdtemp below is private)
    place = next(place for place in places if place.is_dir() and is_reachable(place, user))
    for leftover in place.glob(f"{_PREFIX}*-*"):
        owner = leftover.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if owner.isdigit() and leftover.stat().st_uid == _uid(user) and not _is_alive(int(owner)):
                shutil.rmtree(leftover)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
    give(folder, user)
    return folder


def give(path: Path, user: int | None) -> None:
    """Make `user` the owner of `path`; nothing for ourselves."""
    if user is not None:
        os.chown(path, user, user)


def _uid(user: int | None) -> int:
    return os.geteuid() if user is None else user


def _may_pass(folder: Path, user: int) -> bool:
    status = folder.stat()
    return bool(status.st_mode & (stat.S_IXUSR if status.st_uid == user else stat.S_IXOTH))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
