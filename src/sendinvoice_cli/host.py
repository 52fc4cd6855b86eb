"""What a host is: the difference between a single send and a row of a batch. Types only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from .node.invoices import Change
from .node.link import Link
from .node.replies import Reply
from .node.routes import Route
from .reporting import Progress

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
    progress: Progress

    def now(self) -> float:
        """The time."""

    async def call(self, step: Callable[[], _T]) -> _T:
        """Take a step that blocks while lightningd answers."""

    def begin(self, work: Callable[[], _T]) -> Job[_T]:
        """Begin work that may block for minutes; its end counts as something heard."""

    async def wait(self, until: float) -> None:
        """Wait until then (math.inf: as long as it takes), or until something is heard."""

    def take_events(self) -> list[Change | Reply]:
        """What was heard of this request since it was asked for last."""

    def turn_at(self, route: Route, before: float) -> float | None:
        """Take a turn on every link of a route, and return when it comes.

        :param before: a turn that would come later is not taken: None.
        """

    async def send(self, route: Route, transmit: Callable[[], bool]) -> bool | None:
        """Send a copy: a step. None when it waited for others instead, or something was heard."""

    async def prepare(self) -> None:
        """Have all ready that following an invoice needs: before it exists, time costs nothing."""

    async def follow(self) -> None:
        """Hear of changes of the invoice from now on."""
