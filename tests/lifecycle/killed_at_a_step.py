"""A process that delivers, or publishes, and kills itself at its n-th step.

It is a child of a process without threads (`forkserver`): a copy of the tests' own process, in which servers and
Kafka's clients have threads, may find locks held by threads that it does not have, and break.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from config.settings import Settings
from lifecycle.channels import close_senders, make_senders
from lifecycle.delivery import Delivering, deliver_notification, publish_event
from lifecycle.messages import Message, Sender
from lifecycle.outages import Breaker
from lifecycle.outbox import OutboxEvent
from tests.lifecycle.worker import OPTIONS

_CLEAN = multiprocessing.get_context("forkserver")
_CLEAN.set_forkserver_preload([__name__])


class Steps:
    """Counts the steps of a process, and ends it at one of them: None for no such step.

    Steps are every statement's beginning and end, every commit, and what `around` is asked to count.
    """

    def __init__(self, last: int | None) -> None:
        self.last = last
        self.names: list[str] = []

    def step(self, name: str) -> None:
        """One more; the process does not come back from the last."""
        self.names.append(name)
        if len(self.names) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, engine: sa.Engine) -> None:
        """Count what an engine does."""
        sa.event.listen(engine, "before_cursor_execute", lambda *_: self.step("statement begins"))
        sa.event.listen(engine, "after_cursor_execute", lambda *_: self.step("statement ends"))
        sa.event.listen(engine, "commit", lambda *_: self.step("commit begins"))
        sa.event.listen(engine, "checkin", lambda *_: self.step("transaction is over"))

    def around(self, send: Sender) -> Sender:
        """A sender that counts its call."""

        def sending(message: Message) -> str:
            self.step("before it is sent")
            id_ = send(message)
            self.step("after it is sent")
            return id_

        return sending


#: Work on an engine; what else it needs must be fit to be sent to another process.
Job = Callable[..., None]


def count_steps(url: sa.URL, last: int | None, job: Job, *given: Any) -> Steps:
    """Do a job here: `job(engine, steps, *given)`."""
    steps = Steps(last)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    steps.watch(engine)
    job(engine, steps, *given)
    engine.dispose()
    return steps


def lives(url: sa.URL, last: int, job: Job, *given: Any) -> bool:
    """Do it in a process that ends at a step; True when it came to its end before that. `job` is a module's own."""
    child = _CLEAN.Process(target=count_steps, args=(url, last, job, *given))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode == 0


def deliver(engine: sa.Engine, steps: Steps, settings: Settings, notification_id: str) -> None:
    """Deliver a notification, in one try."""
    senders = make_senders(settings)
    counted = {name: steps.around(send) for name, send in senders.items()}
    breaker = Breaker(failures=1, first=timedelta(hours=1))
    once = Delivering(engine=engine, senders=counted, options=OPTIONS, breaker=breaker, tries=1)
    deliver_notification(once, notification_id)
    close_senders(senders)


def publish(engine: sa.Engine, steps: Steps, event_id: str, topic: Path) -> None:
    """Publish an event as a line of a file."""

    def published(event: OutboxEvent) -> None:
        steps.step("before it is sent")
        with topic.open("a") as file:
            file.write(f"{event.event_id}\n")
        steps.step("after it is sent")

    publish_event(engine, event_id, published)
