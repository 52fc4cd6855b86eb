"""The connection to a lightningd that may go away and come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from ...errors import LightningdError, UnreachableError
from ...threads import spawn
from ..rpc.client import Client
from .losses import Losses

if TYPE_CHECKING:
    from ...reporting import Notices

_T = TypeVar("_T")


class News(Enum):
    """What happened to lightningd."""

    LOST = "it is gone"
    BACK = "it answers again"
    HEARING = "the reply helper is ready, or cannot run"


class Connection:
    """Whether lightningd answers. May be used from several threads.

    Each return of lightningd begins a new generation, so that whoever found it gone can tell
    whether it has come back since.

    :param tell: called with the news, from any thread.
    :param clock: tells the time in UNIX seconds.
    :param sleep: sleeps some seconds between attempts to reach a lightningd that is gone.
    """

    def __init__(
        self,
        client: Client,
        tell: Callable[[News], None],
        notices: Notices,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.clock = clock
        self.sleep = sleep
        self._tell = tell
        self._notices = notices
        self._changed = threading.Condition()
        self._losses = Losses(clock)
        self.is_closed = False
        #: Whether lightningd answers calls, as far as we know.
        self.is_up = True
        #: How often lightningd came back.
        self.generation = 0
        #: When it was last lost (UNIX seconds), and the error that showed it.
        self.lost_at = 0.0
        self.loss: UnreachableError | None = None

    def lose(self, lost: UnreachableError, generation: int) -> None:
        """Note that a call found lightningd gone, and begin to look for it.

        :param lost: the call's error.
        :param generation: the generation when the call was made. If lightningd has come back
            since, or somebody is looking for it already, this does nothing.
        """
        with self._changed:
            if self.is_closed or generation != self.generation or not self.is_up:
                return
            self.is_up = False
            self.lost_at, self.loss = self.clock(), lost
            self._losses.note()
        if self._losses.count == 1:
            self._notices.warn(lost.message, "trying to reach it again")
        else:
            self._notices.step(f"{lost.message}; trying to reach it again")
        self._tell(News.LOST)
        spawn(self._regain)

    def _regain(self) -> None:
        attempt = 0
        while not self.is_closed:
            self.sleep(self._losses.pause(attempt))
            attempt += 1
            # It is gone, or still starting up.
            with suppress(UnreachableError, LightningdError):
                self.client.call("getinfo")
                break
        if self.is_closed:
            return
        with self._changed:
            self.generation += 1
            self.is_up = True
            self._changed.notify_all()
        self._notices.step("lightningd is back")
        self._tell(News.BACK)

    def await_change(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, or somebody closes the connection."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self.is_closed)

    def wake(self) -> None:
        """Have those in :meth:`await_change` look at their conditions."""
        with self._changed:
            self._changed.notify_all()

    def follow(self, source: Callable[[], Iterator[_T]], tell: Callable[[_T], None]) -> None:
        """Tell of all that a source yields, in a thread, until it ends.

        :param source: yields what there is to tell; called again after lightningd was away. Any
            error that it raises counts as a loss, even one that only says that an answer is
            malformed.
        """

        def run() -> None:
            losses = Losses(self.clock)
            while not self.is_closed:
                generation = self.generation
                try:
                    for each in source():
                        tell(each)
                except UnreachableError as failure:
                    lost = failure
                except Exception as failure:
                    lost = UnreachableError(f"cannot follow changes of invoices: {failure}")
                else:
                    return
                losses.note()
                self.lose(lost, generation)
                self.await_change(lambda: self.is_up)
                if losses.count > 1:
                    # It may be this call that fails, and no other: let the others be made.
                    self.sleep(losses.pause())

        spawn(run)

    def close(self) -> None:
        """Stop all waiting."""
        self.is_closed = True
        self.wake()
