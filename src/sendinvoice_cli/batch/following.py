"""One feed of changes for all rows, and one channel of replies: each row is told of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
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
        #: Held while the feed is begun.
        self._beginning = asyncio.Lock()
        self._has_begun = False
        self._hosts: dict[str, RowHost] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    async def begin(self) -> None:
        """Follow the changes of all invoices from now on.

        :raises UnreachableError: lightningd is gone, refuses, or answers nonsense.
        """
        async with self._beginning:
            if self._has_begun:
                return
            try:
                feed = await self._workers.begin(partial(invoices.Feed, self._lightningd.client))
            except LightningdError as failure:
                raise UnreachableError(
                    f"cannot follow changes of invoices: {failure.message}"
                ) from None
            self._lightningd.connection.follow(feed.changes, self._tell)
            self._lightningd.connection.follow(feed.deletions, self._tell)
            self._has_begun = True

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
