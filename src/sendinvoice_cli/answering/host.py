"""What a host is: the difference between a single send and a row of a batch. Types only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from ..node.events.link import Link
from ..node.events.replies import Reply
from ..node.invoices import Change
from ..node.ways.routes import Route
from ..reporting import Progress

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Job(Protocol[_T_co]):
    """Work in the background."""

    def done(self) -> bool:
        """Whether it has ended."""

    def result(self) -> _T_co:
        """What it returned; raises what it raised."""


class Host(Protocol):
    """What differs between a single send and a row of a batch. Times are UNIX seconds."""

    link: Link

    @property
    def progress(self) -> Progress:
        """Shows how the request goes."""

    def now(self) -> float:
        """The time."""

    async def call(self, step: Callable[[], _T]) -> _T:
        """Take a step that blocks while lightningd answers."""

    def begin(self, work: Callable[[], _T]) -> Job[_T]:
        """Begin work that may block for minutes; its end wakes :meth:`wait`."""

    async def wait(self, until: float) -> None:
        """Wait until then, or until an event comes. math.inf waits for an event alone."""

    def take_events(self) -> list[Change | Reply]:
        """The events about this request since the last call."""

    def take_turn(self, route: Route, before: float) -> tuple[Route, float] | None:
        """Take a turn on every peer link of a route, or of one that is as good.

        :param before: take none that would come later.
        :returns: the route, and when its turn comes; None when that would be too late.
        """

    async def send(self, route: Route, transmit: Callable[[], bool]) -> bool | None:
        """Send a copy.

        :param transmit: sends it; False when lightningd cannot send it this way.
        :returns: what ``transmit`` returned; None when it was not its turn, or when the invoice
            has changed or has expired before lightningd confirms the message: look at that first.
        """

    async def prepare(self) -> None:
        """Prepare to follow the invoice, before it exists and its time runs."""

    async def follow(self) -> None:
        """Follow the changes of the invoice from now on."""
