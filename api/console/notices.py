"""One line about the form that was just sent, shown once on the page that follows it."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

COOKIE = "breakwater_notice"


class Notice(StrEnum):
    """The closed list of what may be said; the cookie holds one of these words."""

    CLAIMED = "claimed"
    COMPLETED = "completed"
    COMPLETED_LAST = "completed_last"
    BASELINE_APPROVED = "baseline_approved"
    BASELINE_REJECTED = "baseline_rejected"
    MOVED = "moved"
    RELEASED = "released"
    REJECTED = "rejected"
    INCIDENT_ENDED = "incident_ended"
    BLACKLISTED = "blacklisted"
    OFF_THE_BLACKLIST = "off_the_blacklist"
    ALREADY_DONE = "already_done"
    STALE = "stale"
    CLOSED = "closed"
    NAMED = "named"
    NAME_FIRST = "name_first"


@dataclass(frozen=True, slots=True)
class Line:
    """A notice as it is shown."""

    text: str
    good: bool


_LINES = {
    Notice.CLAIMED: Line("The task is yours.", good=True),
    Notice.COMPLETED: Line("The task is complete.", good=True),
    Notice.COMPLETED_LAST: Line(
        "The task is complete. It was the last one of this block: the automation can be unblocked now.", good=True
    ),
    Notice.BASELINE_APPROVED: Line("The baseline is in force. Runs are compared with it from now on.", good=True),
    Notice.BASELINE_REJECTED: Line("The proposal was rejected. The baseline stays as it was.", good=True),
    Notice.MOVED: Line("Done. This is how it stands now.", good=True),
    Notice.RELEASED: Line("The decision was released. What became of it stands on its page.", good=True),
    Notice.REJECTED: Line("The decision was rejected; nothing was stopped.", good=True),
    Notice.INCIDENT_ENDED: Line("The incident is over. What it held is judged again on fresh evidence.", good=True),
    Notice.BLACKLISTED: Line("The workflow is on the blacklist. No run of it is started any more.", good=True),
    Notice.OFF_THE_BLACKLIST: Line("The workflow may start again. Its earlier executions count no more.", good=True),
    Notice.ALREADY_DONE: Line("That was done already.", good=True),
    Notice.STALE: Line(
        "Somebody changed this task meanwhile, so nothing was done. Look at it as it is now, and decide again.",
        good=False,
    ),
    Notice.CLOSED: Line("This task is closed already, so nothing was done.", good=False),
    Notice.NAME_FIRST: Line("Nothing was done yet: say who you are, then do it again.", good=False),
    Notice.NAMED: Line("Your name is kept in this browser.", good=True),
}


def read(request: Request) -> Line | None:
    """What to show on this page."""
    word = request.cookies.get(COOKIE)
    return _LINES[Notice(word)] if word in set(Notice) else None


def leave(response: Response, notice: Notice) -> None:
    """Leave a notice for the next page; it is gone after half a minute, shown or not."""
    response.set_cookie(COOKIE, notice.value, max_age=30, path="/console", httponly=True, samesite="lax")


def forget(request: Request, response: Response) -> None:
    """Once is enough."""
    if COOKIE in request.cookies:
        response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="lax")


def ask_for_a_name() -> Response:
    """Where somebody goes who has not said who they are, and wants to change something."""
    response = RedirectResponse("/console/operator", HTTPStatus.SEE_OTHER)
    leave(response, Notice.NAME_FIRST)
    return response
