"""Following every invoice over one connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import invoices
from .client import Client

#: Most changes asked for at once.
_PAGE = 500


class InvoiceFeed:
    """All changes of invoices, from when it was made (``wait invoices updated``).

    Nothing is missed when the connection breaks: the index only grows, and
    :meth:`changes` goes on behind the last change it told of.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._next = self._current() + 1

    def _current(self) -> int:
        answer = self._client.call("wait", _wait_for(0))
        return int(answer.get("updated", 0))

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the fields of each invoice that changes; blocks in between, and never ends.

        :raises UnreachableError: lightningd is gone; call again once it is back.
        """
        while True:
            self._client.call("wait", _wait_for(self._next), patience=None)
            answer = self._client.call(
                "listinvoices", {"index": "updated", "start": self._next, "limit": _PAGE}
            )
            for changed in answer["invoices"]:
                self._next = max(self._next, int(changed.get("updated_index", 0)) + 1)
                yield invoices.fields(changed)


def _wait_for(index: int) -> dict[str, Any]:
    return {"subsystem": "invoices", "indexname": "updated", "nextvalue": index}
