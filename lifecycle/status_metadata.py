"""What callers may keep with a version beside its status: a few plain values, never read by a rule (30.8)."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.versions import LockedVersion

#: All that a version keeps, in bytes of JSON.
MAX_METADATA = 16 * 1024

#: Keys that the lifecycle itself writes.
RESERVED = frozenset({"deployment"})

_PLAIN = (str, int, float, bool, type(None))
_versions = tables.automation_versions.c


def merge_metadata(connection: sa.Connection, version: LockedVersion, metadata: Mapping[str, Any]) -> None:
    """Add values to those of a locked version; a key that is there already has the new value.

    `LifecycleError` for what can't be kept: objects and lists, keys of our own, characters that are none, or more
    than 16 KiB in all.
    """
    if any(key in RESERVED for key in metadata):
        raise _refused("reserved", f"These keys are the server's: {', '.join(sorted(RESERVED))}.")
    if not all(isinstance(value, _PLAIN) for value in metadata.values()):
        raise _refused("not_flat", "Texts, numbers, true, false and null alone.")
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except ValueError:  # no number, or half of a surrogate pair
        raise _refused("not_json", "It is no JSON.") from None
    if "\\u0000" in text:
        raise _refused("not_text", "A text holds a zero byte.")
    if size <= MAX_METADATA:
        size = connection.execute(
            sa.update(tables.automation_versions)
            .where(_versions.tenant_id == version.tenant_id, _versions.id == version.id)
            .values(
                status_metadata=_versions.status_metadata.op("||")(
                    sa.literal(dict(metadata), _versions.status_metadata.type)
                )
            )
            .returning(sa.func.octet_length(sa.cast(_versions.status_metadata, sa.Text)))
        ).scalar_one()
    if size > MAX_METADATA:
        raise _refused("too_large", f"At most {MAX_METADATA} bytes of JSON in all.")


def _refused(code: str, message: str) -> LifecycleError:
    return LifecycleError(
        ErrorCode.STATUS_PREREQUISITE_MISSING,
        "The metadata can't be kept.",
        [Detail(code, "status_metadata", message)],
    )
