"""When credit monitoring's jobs are due, by the week (50.3, 50.6). Pure; all in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from lifecycle.credits.iso_weeks import WEEK, period_of, week_of
from lifecycle.kinds import CreditJob


@dataclass(frozen=True, slots=True)
class Due:
    """A moment of each week, and how long a try may take."""

    #: Monday is 0.
    weekday: int
    at: time
    time_out: timedelta


CALENDAR: Mapping[CreditJob, Due] = {
    CreditJob.UPDATE_BASELINES: Due(6, time(23), timedelta(seconds=180)),
    CreditJob.WEEKLY_REVIEW: Due(0, time(9), timedelta(seconds=120)),
}

#: How long a run that is logged may take, until it is told what the stream says of it.
LOG_TIME_OUT = timedelta(seconds=60)

#: A job that has failed so often waits for the next week.
TRIES = 3


def time_out(job: CreditJob) -> timedelta:
    """How long a try may take."""
    return LOG_TIME_OUT if job is CreditJob.LOG else CALENDAR[job].time_out


def last_tick(job: CreditJob, now: datetime) -> datetime:
    """The newest moment at which a job was due. Those before it, which nobody kept, it makes up for."""
    due = CALENDAR[job]
    monday, _ = period_of(week_of(now))
    tick = monday + timedelta(days=due.weekday, hours=due.at.hour, minutes=due.at.minute)
    return tick if tick <= now else tick - WEEK
