"""One feed of changes for all rows, and one channel of replies: each row is told of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import LightningdError, UnreachableError
from ..node import invoices
from ..node.events.replies import Reply
from ..node.invoices import Change
from ..node.lightningd import Event, Lightningd
from .workers import Workers

if TYPE_CHECKING:
    from .row_host import RowHost


class Following:
    """The rows whose invoice exists.

    :param tell: passes an event to :meth:`tell`, in the event loop; may be called from any thread.
    """

    def __init__(
        self, lightningd: Lightningd, workers: Workers, tell: Callable[[Event], None]
    ) -> None:
        self._lightningd = lightningd
        self._workers = workers
        self._tell = tell
        #: The beginning of the feed, which all rows wait for.
        self._begun: asyncio.Future[None] | None = None
        self._hosts: dict[str, RowHost] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    def begin(self) -> asyncio.Future[None]:
        """Begin to follow the changes of all invoices, unless that has begun.

        :returns: fails with UnreachableError when lightningd is gone, refuses, or answers nonsense.
        """
        begun = self._begun
        if begun is None or (begun.done() and begun.exception() is not None):
            begun = self._begun = self._workers.begin(self._follow)
        return begun

    def _follow(self) -> None:
        try:
            feed = invoices.Feed(self._lightningd.client)
        except LightningdError as failure:
            raise UnreachableError(
                f"cannot follow changes of invoices: {failure.message}"
            ) from None
        self._lightningd.connection.follow(feed.changes, self._tell)
        self._lightningd.connection.follow(feed.deletions, self._tell)

    def add(self, label: str, host: RowHost) -> None:
        """Tell a row of all that concerns the invoice with this label from now on."""
        self._hosts[label] = host

    def remove(self, label: str) -> None:
        """Tell the row with this label no more, if it was told."""
        self._hosts.pop(label, None)

    def tell(self, event: Change | Reply) -> None:
        """Tell the rows that an event concerns; a change without a label concerns all."""
        hosts = list(self._hosts.values())
        if isinstance(event, Reply):
            hosts = [host for host in hosts if host.expects(event)]
        elif event.label is not None:
            hosts = [self._hosts[event.label]] if event.label in self._hosts else []
        for host in hosts:
            host.hear(event)
