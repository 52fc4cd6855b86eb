"""Looking at what a lightningd that has just started still lacks, without holding up the rest."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from ..errors import LightningdError, SendInvoiceError, UnreachableError
from ..node.events.losses import Losses
from ..node.lightningd import GRAPH_SECONDS
from .readiness import HOLD_SECONDS, PATIENCE_SECONDS, POLL_SECONDS, Missing
from .steps import Steps, no_answer_error

if TYPE_CHECKING:
    from .exchange import Exchange
    from .host import Host, Job


class Lookout:
    """Looks at lightningd once after each of its starts, and again while something is missing."""

    def __init__(self, exchange: Exchange, host: Host, steps: Steps) -> None:
        self._exchange = exchange
        self._host = host
        self._steps = steps
        self._connection = host.lightningd.connection
        #: What the last look found missing.
        self.missing: Missing | None = None
        #: When that began (UNIX seconds).
        self._missing_since = 0.0
        #: The generation of the connection in which lightningd was found ready.
        self._ready_generation: int | None = None
        #: The look that is under way, and the losses of lightningd that looks have met.
        self._look: Job[Missing | None] | None = None
        #: The connection's generation when it began.
        self._generation = 0
        self._losses = Losses(host.now)
        self._next_at = 0.0

    @property
    def next_at(self) -> float:
        """When the next look is due (UNIX seconds), math.inf while one is under way."""
        return self._next_at if self._look is None else math.inf

    async def advance(self) -> bool:
        """Take the look one step further, without waiting for it; whether to go on.

        If not, an event comes when it may go on, or :attr:`next_at` does.

        :raises LightningdError: it cannot be told, and the invoice does not exist.
        :raises UnreachableError: lightningd stays away, or went away too often.
        """
        exchange = self._exchange
        await self._steps.reach()
        if self._connection.generation == self._ready_generation:
            return True
        if self._look is None:
            if self._host.now() < self._next_at:
                return False
            self._next_at = self._host.now() + POLL_SECONDS
            age = GRAPH_SECONDS if self.missing is None else POLL_SECONDS
            self._generation = self._connection.generation
            self._look = self._host.begin(partial(exchange.receiving.look_around, age))
        if not self._look.done():
            return False
        look, self._look = self._look, None
        missing = None
        try:
            missing = look.result()
        except UnreachableError as lost:
            self._steps.lose(lost, self._generation, self._losses)
            return False
        except LightningdError:
            if not exchange.exists:
                raise
        self._take(missing)
        return self._connection.generation == self._ready_generation

    def _take(self, missing: Missing | None) -> None:
        """Take what a look found missing, and tell the user if that is news."""
        now, before = self._host.now(), self.missing
        if before is None:
            self._missing_since = now
        self.missing = missing
        waited = now - self._missing_since
        if (
            missing is None
            or (not missing.is_needed and waited >= PATIENCE_SECONDS)
            or (self._exchange.exists and waited >= HOLD_SECONDS)
        ):
            self._ready_generation, self.missing = self._generation, None
        elif missing != before:
            self._host.progress.step(f"Waiting for {missing}")

    def error(self) -> SendInvoiceError:
        """The error when TIMEOUT is over, and lightningd is away or not ready."""
        if self._connection.is_up:
            return no_answer_error() if self.missing is None else self.missing.error()
        return self._connection.loss or no_answer_error()
