"""Questions that come together are asked together: one transaction for all that came while the last one ran."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class BusyError(Exception):
    """More wait than can be answered in reasonable time. Nothing was done; ask again later."""


class Batches(Generic[Q, A]):
    """Gathers questions and answers them in their order. For one event loop.

    A question waits for the batch before it, and for its own: a batch is as large as the load makes it.
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], *, largest: int, waiting: int) -> None:
        """`answer` gives an answer for each question; `waiting` is how many may wait before `BusyError`."""
        self._answer = answer
        self._largest = largest
        self._most = waiting
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """The answer; what `answer` raises is raised for each question of the batch."""
        if len(self._waiting) >= self._most:
            raise BusyError
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, answered))
        if self._task is None:
            self._task = loop.create_task(self._work())
        return await answered

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
                await self._answer_batch(batch)
        finally:
            self._task = None

    async def _answer_batch(self, batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._answer([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001  (whoever asked raises it)
            for _, answered in batch:
                # One who went away is not waited for by anybody.
                if not answered.done():
                    answered.set_exception(error)
            return
        for (_, answered), found in zip(batch, answers, strict=True):
            if not answered.done():
                answered.set_result(found)
