"""Steps that survive a lightningd that goes away and comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..errors import UnreachableError
from ..node.events.losses import Losses
from ..node.rpc.client import NoAnswerError
from .deadline import Deadline

if TYPE_CHECKING:
    from .delivery import Delivery
    from .host import Host, Job

_T = TypeVar("_T")


class TimeOverError(NoAnswerError):
    """lightningd did not answer before the deadline. It need not be gone."""


class Steps:
    """Takes the steps of one request, each again when lightningd goes away during it."""

    def __init__(self, host: Host, deadline: Deadline) -> None:
        self._host = host
        self._deadline = deadline
        self._connection = host.lightningd.connection

    async def open(self) -> None:
        """Make the first contact with lightningd, which is not repeated.

        :raises UnreachableError: it cannot be reached, or did not answer in time.
        """
        if not self._host.lightningd.is_open:
            await self._wait_for(partial(self._host.begin, self._host.lightningd.open))

    async def look(self, step: Callable[[], _T]) -> _T:
        """Take a step that only looks: it is left alone when the deadline comes.

        :raises UnreachableError: lightningd stays away, went away too often, or did not answer in
            time.
        """
        return await self.finish(partial(self._host.begin, step))

    async def finish(self, begin: Callable[[], Job[_T]]) -> _T:
        """Begin a job, and wait for its end: it is left alone when the deadline comes.

        :raises UnreachableError: as for :meth:`look`.
        """
        return await self.persist(partial(self._wait_for, begin))

    async def take(self, step: Callable[[], _T]) -> _T:
        """Take a step to its end.

        :raises UnreachableError: as for :meth:`persist`.
        """
        return await self.persist(lambda: self._host.call(step))

    async def persist(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Await what a function returns, and call it again when lightningd goes away meanwhile.

        :raises UnreachableError: lightningd stays away, went away too often, or this took too
            long: a lightningd that never answers this may still answer ``getinfo``.
        """
        losses = Losses(self._host.now)
        since: float | None = None
        while True:
            is_last = not await self.reach()
            since = self._host.now() if since is None else since
            generation = self._connection.generation
            try:
                return await step()
            except TimeOverError:
                raise
            except UnreachableError as lost:
                self.lose(lost, generation, losses)
                if is_last or self._host.now() >= self._deadline.give_up_at(since):
                    raise

    def lose(self, lost: UnreachableError, generation: int, losses: Losses) -> None:
        """Note that lightningd went away during something.

        :param generation: the connection's when that began.
        :param losses: those that it has met.
        :raises UnreachableError: they are too many.
        """
        losses.note()
        self._connection.lose(lost, generation)
        if losses.are_too_many:
            raise lost

    async def reach(self) -> bool:
        """Wait until lightningd is there.

        :returns: False when the time is over first: ask once more all the same, since we look for
            lightningd every few seconds only, and some calls may work while others fail.
        :raises UnreachableError: it hangs, or there is no invoice to ask for.
        """
        connection = self._connection
        while not connection.is_up:
            until = self._deadline.give_up_at(connection.lost_at)
            if self._host.now() >= until:
                lost = connection.loss or no_answer_error()
                if isinstance(lost, NoAnswerError) or not self._deadline.is_of_invoice:
                    raise lost
                return False
            await self._host.wait(until)
        return True

    async def search(self, delivery: Delivery) -> bool:
        """Take the search for a copy's route one step further; whether it has ended.

        :raises UnreachableError: lightningd stays away, or went away too often.
        """
        while True:
            await self.reach()
            try:
                return delivery.search()
            except UnreachableError as lost:
                self.lose(lost, delivery.generation, delivery.losses)
                if not self._connection.is_up:
                    return False
                # lightningd is back already, so no event will wake us: search again.

    async def _wait_for(self, begin: Callable[[], Job[_T]]) -> _T:
        deadline, now = self._deadline, self._host.now
        # An invoice that has expired by our clock alone may still be paid.
        until = deadline.give_up_at(now()) if deadline.is_of_invoice else deadline.at
        job = begin()
        while not job.done():
            if now() >= until:
                raise no_answer_error()
            await self._host.wait(until)
        return job.result()


def no_answer_error() -> TimeOverError:
    """The error for a lightningd that does not answer before the deadline."""
    return TimeOverError(
        "lightningd did not answer before TIMEOUT was over",
        hint="'lightning-cli getinfo' shows whether it answers at all",
    )
