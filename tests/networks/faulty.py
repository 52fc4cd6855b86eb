"""What nodes of a sandbox do in tests: what its faults say, seen and frozen at will.

Everything here runs on the network's event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from sendinvoice_cli.bolt12 import invoice_error, tlv
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.errors import MalformedError
from sendinvoice_cli.sandbox.behaviour import Answer, Behaviour
from sendinvoice_cli.sandbox.model.network import Network
from sendinvoice_cli.sandbox.model.payments import PaymentError
from sendinvoice_cli.sandbox.model.requests import request_id
from sendinvoice_cli.sandbox.rpc.errors import RpcError
from sendinvoice_cli.sandbox.rpc.framing import encode

from .faults import CallFault, Faults, Hold
from .settling import Settling

_GARBAGE = b"\x00\xffthis is not JSON\n\n"

#: Called for each call with the node's name, the method, and a phase: ``before``
#: the call takes effect, or ``after`` it, but before the answer.
CallObserver = Callable[[str, str, str], None]


class FaultyBehaviour(Behaviour):
    """What the nodes of one sandbox do."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._settling = Settling()
        #: Which it is for; set before it starts.
        self.network: Network
        self.observer: CallObserver | None = None
        #: TLV streams of the invoices that have reached each node, ignored ones too.
        self.received: defaultdict[str, list[bytes]] = defaultdict(list)
        #: Nodes whose channels come back later than their peers.
        self.without_channels: set[str] = set()
        self._frozen: dict[str, asyncio.Event] = {}
        #: Ids of the invoice_requests that their payers have given up, as LDK does.
        self._abandoned: set[bytes] = set()

    def freeze(self, node: str) -> None:
        """Have a node handle no message and no call."""
        self._frozen.setdefault(node, asyncio.Event())

    def thaw(self, node: str) -> None:
        """Have a node handle what has arrived meanwhile."""
        self._frozen.pop(node).set()

    async def settle(self) -> None:
        """Return once every task of the network has ended or waits for something held back."""
        await self._settling.idle()

    def started(self, task: asyncio.Task[None]) -> None:
        """Follow a task of the network."""
        self._settling.follow(task)

    async def answer(self, node: str, request: dict[str, Any], answer: Answer) -> bytes | None:
        """Answer a call, once the node is not frozen, and as the faults say."""
        method = request["method"]
        if node in self._frozen:
            await self._frozen[node].wait()
        fault = self._faults.fate_of_call(node, method, request["params"])
        await self._show(node, method, "before")
        if fault is CallFault.CLOSE_BEFORE or not self.network.nodes[node].is_running:
            return None
        if fault is CallFault.NEVER:
            await asyncio.Event().wait()
        if isinstance(fault, RpcError):
            response: bytes | None = encode(fault.as_response(request["id"]))
        else:
            response = self._with_warning(node, method, await answer(request))
        await self._show(node, method, "after")
        if fault is CallFault.CLOSE_AFTER:
            return None
        return _GARBAGE if fault is CallFault.GARBAGE else response

    def _with_warning(self, node: str, method: str, response: bytes | None) -> bytes | None:
        behind = self._faults.behind(node)
        if response is None or method != "getinfo" or behind is None:
            return response
        decoded = json.loads(response)
        name, text = behind[0].value
        decoded["result"][name] = text
        return encode(decoded)

    async def _show(self, node: str, method: str, phase: str) -> None:
        if self.observer is not None:
            self.observer(node, method, phase)
        # Let what the observer has started run first.
        await asyncio.sleep(0)

    async def carry(self, sender: str, receiver: str) -> bool:
        """Carry an onion message: lose it, delay it, or keep it for a frozen node."""
        late_seconds = self._faults.fate_of_message(receiver)
        log = self.network.nodes[receiver].log
        if late_seconds is None:
            log(f"onion message from {sender} lost on the way")
            return False
        if late_seconds:
            log(f"onion message from {sender} delayed")
            await self._let_pass(late_seconds)
        if receiver in self._frozen:
            async with self._settling.parked():
                await self._frozen[receiver].wait()
        return True

    def has_reestablished(self, one: str, other: str) -> bool:
        """Whether two nodes that are connected can use their channels."""
        return self.without_channels.isdisjoint((one, other))

    def refusal(self, payer: str, invoice: bytes) -> str | None:
        """Note an invoice, and refuse or ignore it as the faults say."""
        self.received[payer].append(invoice)
        behaviour = self._faults.payer(payer)
        is_ignored = behaviour.ignored is not None and behaviour.ignored in invoice
        if is_ignored or _id_of(invoice) in self._abandoned:
            self.network.nodes[payer].log("ignored an invoice")
            return ""
        return behaviour.refusal

    def amount_msat(self, payer: str, amount_msat: int) -> int:
        """What a payer pays for an invoice of this amount."""
        return self._faults.payer(payer).sends_msat or amount_msat

    async def in_flight(self, payer: str, payee: bytes, request_id: bytes) -> None:
        """Keep a payment in flight as the faults say, and fail it then."""
        behaviour = self._faults.payer(payer)
        failure = self._faults.take_payment_failure(payer)
        if behaviour.hold is not None:
            await self._wait_for(behaviour.hold)
        if behaviour.delay_seconds:
            await self._let_pass(behaviour.delay_seconds)
        if failure is not None and failure.as_ldk:
            self._abandoned.add(request_id)
            stream = invoice_error.encode(InvoiceError(failure.text))
            # LDK puts the length of the stream in front.
            raise PaymentError(failure.text, tlv.encode_bigsize(len(stream)) + stream)
        if failure is not None:
            raise PaymentError(failure.text)
        behind = self._faults.behind(self.network.node(payee).name)
        if behind is not None:
            await self._wait_for(behind[1])

    async def _let_pass(self, seconds: float) -> None:
        over = Hold()
        self.network.timers.at(self.network.clock() + seconds, over.release)
        await self._wait_for(over)

    async def _wait_for(self, hold: Hold) -> None:
        async with self._settling.parked():
            await hold.wait()


def _id_of(invoice: bytes) -> bytes | None:
    """The id of an invoice's invoice_request; None if it cannot be read."""
    try:
        return request_id(tlv.decode_stream(invoice))
    except MalformedError:
        return None
