"""Where a network may act differently from lightningd. By default it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

#: Takes a JSON-RPC request, and returns the bytes to answer it with; None closes the connection.
Answer = Callable[[dict[str, Any]], Awaitable[bytes | None]]


class Behaviour:
    """What nodes do. Subclasses override what is to be different.

    The network calls its methods on its event loop. Nodes go by their names.
    """

    async def answer(self, node: str, request: dict[str, Any], answer: Answer) -> bytes | None:
        """Answer a call to a node, normally by ``answer(request)``.

        :param request: a well-formed JSON-RPC request.
        :returns: the bytes of the answer; None closes the connection.
        """
        return await answer(request)

    async def carry(self, sender: str, receiver: str) -> bool:
        """Carry an onion message from a node to its peer; returns whether it arrives."""
        return True

    def has_reestablished(self, one: str, other: str) -> bool:
        """Whether two nodes that are connected can use their channels."""
        return True

    def refusal(self, payer: str, invoice: bytes) -> str | None:
        """The text of the invoice_error with which a payer answers an invoice without looking.

        :param invoice: its TLV stream.
        :returns: None if the payer takes the invoice; "" if it ignores it.
        """
        return None

    def amount_msat(self, payer: str, amount_msat: int) -> int:
        """What a payer pays for an invoice of this amount."""
        return amount_msat

    async def in_flight(self, payer: str, payee: bytes, request_id: bytes) -> None:
        """Return when a payment may arrive.

        :param payee: 33-byte node id.
        :param request_id: 32-byte id of the invoice_request.
        :raises PaymentError: it fails instead.
        """

    def started(self, task: asyncio.Task[None]) -> None:
        """Follow a task of the network, such as the way of one message or a payment."""
