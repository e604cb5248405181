"""Why Notion did not do what it was asked: in our words, since its own may quote what was sent.

NotionError
├── TryLaterError   nothing is wrong with the request; ask again after a while
└── RefusedError    asked again it would be refused again, until a person changes something
"""

from datetime import timedelta
from enum import StrEnum


class Trouble(StrEnum):
    """Why it can be asked later."""

    UNREACHABLE = "unreachable"  #: no connection, it broke off, or nothing came in time
    BUSY = "busy"  #: the server says: later
    GARBAGE = "garbage"  #: it answered what is no answer of Notion's


class NotionError(Exception):
    """Notion did not do it. Raised by the client, caught where a pass over what waits begins."""


class TryLaterError(NotionError):
    """Raised for time-outs, broken connections, 429, 5xx and answers that are none."""

    def __init__(self, trouble: Trouble, retry_after: timedelta | None = None, *, certain: bool = False) -> None:
        """`retry_after`: how long the server asks to be left alone. `certain`: the request had no effect."""
        super().__init__(trouble.value)
        self.trouble = trouble
        self.retry_after = retry_after
        self.certain = certain


#: Codes that are not about one page: the token is good for nothing, or not for what is done with a database.
OF_ALL = frozenset({"unauthorized"})
OF_A_DATABASE = frozenset({"restricted_resource"})

#: The request is not what Notion expects; or the page is in the trash.
INVALID = "validation_error"

#: There is no such thing, or it is not shared with us.
GONE = "object_not_found"


class RefusedError(NotionError):
    """Raised for 400, 401, 403, 404 and the like; the request had no effect."""

    def __init__(self, code: str) -> None:
        """`code`: Notion's, one of a closed list, else `http_` and the status."""
        super().__init__(code)
        self.code = code
