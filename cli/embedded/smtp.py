"""A real SMTP server on loopback that keeps what it is given, for the demo and the tests."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP


class ReceivedMail(NamedTuple):
    """One accepted message: whom the envelope names, and the message itself."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage


class SmtpSink:
    """Accept every mail; use it as a context manager. Mails are in `mails`, in the order of acceptance."""

    def __init__(
        self, folder: Path | None = None, on_mail: Callable[[ReceivedMail], None] = lambda _mail: None
    ) -> None:
        """`folder`: where mails are written too, as `0001.eml` and so on. `on_mail` runs in the server's thread."""
        self.host = "127.0.0.1"
        self.port = 0
        self.mails: list[ReceivedMail] = []
        self._folder = folder
        self._on_mail = on_mail
        self._arrived = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="smtp-sink", daemon=True)
        self._ready = threading.Event()
        self._fault: OSError | None = None

    def __enter__(self) -> "SmtpSink":
        self._thread.start()
        self._ready.wait()
        if self._fault is not None:
            raise self._fault
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def wait_for(self, count: int, patience: timedelta = timedelta(seconds=10)) -> list[ReceivedMail]:
        """The mails once there are `count` or more; `TimeoutError` when the patience ends first."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.mails) >= count, patience.total_seconds()):
                raise TimeoutError(f"{len(self.mails)} of {count} mails after {patience}")
            return list(self.mails)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802  (aiosmtpd's names)
        """Keep one mail; called by aiosmtpd."""
        message = message_from_bytes(envelope.content, EmailMessage, policy=policy.default)
        mail = ReceivedMail(envelope.mail_from, tuple(envelope.rcpt_tos), message)
        with self._arrived:
            self.mails.append(mail)
            if self._folder is not None:
                (self._folder / f"{len(self.mails):04}.eml").write_bytes(envelope.content)
            self._arrived.notify_all()
        self._on_mail(mail)
        return "250 OK"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(
                self._loop.create_server(lambda: SMTP(self, loop=self._loop), self.host, 0)
            )
        except OSError as error:
            self._fault = error
        else:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            self._loop.run_forever()
            server.close()
            open_tasks = asyncio.all_tasks(self._loop)
            for task in open_tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*open_tasks, return_exceptions=True))
        self._loop.close()
        self._ready.set()
