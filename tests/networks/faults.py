"""Faults that tests inject into a sandbox. Every method is for any thread.

:mod:`tests.networks.faulty` has the effects.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from sendinvoice_cli.sandbox.rpc.errors import RpcError


class CallFault(Enum):
    """How a call fails."""

    #: The connection is closed; the call has no effect.
    CLOSE_BEFORE = "close before"
    #: The call takes effect; the connection is closed without an answer.
    CLOSE_AFTER = "close after"
    #: The call takes effect; the answer is not JSON.
    GARBAGE = "garbage"
    #: No answer ever comes; the call has no effect.
    NEVER = "never"


class Sync(Enum):
    """Why lightningd is behind the chain: ``getinfo``'s warning, and its text."""

    BITCOIND = "warning_bitcoind_sync", "Bitcoind is not up-to-date with network."
    LIGHTNINGD = "warning_lightningd_sync", "Still loading latest blocks from bitcoind."


class Hold:
    """Something that is kept waiting until it is released."""

    def __init__(self) -> None:
        self._released: Future[None] = Future()

    def release(self) -> None:
        """Let it go on."""
        with suppress(InvalidStateError):
            self._released.set_result(None)

    async def wait(self) -> None:
        """Return once it is released."""
        await asyncio.shield(asyncio.wrap_future(self._released))


@dataclass
class PaymentFailure:
    """How a payer's attempts to pay fail; see :meth:`Faults.fail_payments`.

    :param remaining: how many more attempts; None for all.
    """

    text: str
    remaining: int | None
    as_ldk: bool


@dataclass(frozen=True)
class Payer:
    """How a payer handles the invoices that reach it; see the methods of :class:`Faults`.

    :param ignored: bytes of the invoices that it ignores; None for no invoice.
    """

    refusal: str | None = None
    ignored: bytes | None = None
    sends_msat: int | None = None
    hold: Hold | None = None
    delay_seconds: float = 0
    failure: PaymentFailure | None = None


@dataclass
class _MessageRule:
    node: str | None
    remaining: int
    #: None drops the message.
    delay_seconds: float | None
    is_forever: bool = False


@dataclass
class _CallRule:
    """Calls that fail.

    :param method: None for every method.
    :param fault: how, or the error that they are answered with.
    :param times: how often; negative for always.
    :param params: what they have among their named parameters.
    """

    node: str
    method: str | None
    fault: CallFault | RpcError
    times: int
    params: Mapping[str, Any]


class Faults:
    """The faults of one sandbox."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._payers: dict[str, Payer] = {}
        self._messages: list[_MessageRule] = []
        self._calls: list[_CallRule] = []
        self._behind: dict[str, tuple[Sync, Hold]] = {}

    # Messages

    def drop_message(self, n: int = 1, *, at: str | None = None) -> None:
        """Lose the n-th onion message from now.

        :param at: count only messages to this node, be it a router or the recipient.
        """
        self._add_message_rule(_MessageRule(at, n, None))

    def drop_messages(self, *, at: str | None = None) -> None:
        """Lose all onion messages from now on; ``at`` as in :meth:`drop_message`."""
        self._add_message_rule(_MessageRule(at, 1, None, is_forever=True))

    def delay_message(self, n: int = 1, *, seconds: float, at: str | None = None) -> None:
        """Delay the n-th onion message from now, by the sandbox's clock."""
        self._add_message_rule(_MessageRule(at, n, seconds))

    # Payers

    def refuse(self, payer: str, text: str) -> None:
        """Have a payer answer every invoice with an invoice_error."""
        self._change_payer(payer, refusal=text)

    def be_silent(self, payer: str, part: bytes = b"") -> None:
        """Have a payer ignore invoices.

        :param part: only those that contain these bytes.
        """
        self._change_payer(payer, ignored=part)

    def pay_amount(self, payer: str, amount_msat: int) -> None:
        """Have a payer send this amount, whatever the invoice says."""
        self._change_payer(payer, sends_msat=amount_msat)

    def fail_payments(
        self,
        payer: str,
        times: int | None = None,
        *,
        text: str | None = None,
        as_ldk: bool = False,
    ) -> None:
        """Have a payer's attempts to pay fail; its invoice_requests stay active.

        :param times: how many attempts; by default all, until :meth:`behave`.
        :param text: error of its ``pay`` or ``xpay``, by default that there is no
            route. CLN puts ``Failed invoice lni1…: pay attempt failed:`` in front.
        :param as_ldk: answer as LDK does: only the text (by default
            ``RouteNotFound``), after the length of the TLV stream as a BigSize.
            The payer then gives up that invoice_request, and stays silent.
        """
        default = "RouteNotFound" if as_ldk else "Failed: We could not find a usable set of paths."
        self._change_payer(payer, failure=PaymentFailure(text or default, times, as_ldk))

    def hold_payments(self, payer: str) -> Hold:
        """Keep a payer's payments in flight until the returned object's ``release()``."""
        hold = Hold()
        self._change_payer(payer, hold=hold)
        return hold

    def delay_payments(self, payer: str, seconds: float) -> None:
        """Keep each of a payer's payments in flight this long, by the sandbox's clock."""
        self._change_payer(payer, delay_seconds=seconds)

    def behave(self, payer: str) -> None:
        """Have a payer act as lightningd does, without faults."""
        with self._lock:
            self._payers.pop(payer, None)

    # Calls

    def break_call(
        self, node: str, method: str, fault: CallFault, times: int = 1, **params: Any
    ) -> None:
        """Have the next ``times`` calls of a method fail at one node.

        :param params: only calls that have these among their parameters.
        """
        with self._lock:
            self._calls.append(_CallRule(node, method, fault, times, params))

    def refuse_plugins(self, node: str, code: int, text: str) -> None:
        """Have ``plugin start`` fail at one node, as when it cannot run the file."""
        with self._lock:
            starting = {"subcommand": "start"}
            self._calls.append(_CallRule(node, "plugin", RpcError(code, text), -1, starting))

    def shut_down(self, node: str) -> None:
        """Have a node answer every call as lightningd does while it ends, until :meth:`clear`."""
        with self._lock:
            error = RpcError(-5, "lightningd is shutting down")
            self._calls.append(_CallRule(node, None, error, -1, {}))

    # Nodes

    def fall_behind(self, node: str, sync: Sync = Sync.LIGHTNINGD) -> None:
        """Take a node behind the chain until :meth:`catch_up`: payments to it stay in flight."""
        with self._lock:
            self._behind[node] = sync, Hold()

    def catch_up(self, node: str) -> None:
        """Take a node to the tip of the chain."""
        with self._lock:
            _, hold = self._behind.pop(node)
        hold.release()

    def clear(self) -> None:
        """Remove the faults of payers, messages and calls. Payments that are held stay held."""
        with self._lock:
            self._payers.clear()
            self._messages.clear()
            self._calls.clear()

    # What comes of it

    def payer(self, name: str) -> Payer:
        """How a node handles invoices."""
        with self._lock:
            return self._payers.get(name, Payer())

    def take_payment_failure(self, payer: str) -> PaymentFailure | None:
        """How the attempt to pay that starts now fails; None if it does not."""
        failure = self.payer(payer).failure
        with self._lock:
            if failure is None or failure.remaining == 0:
                return None
            if failure.remaining is not None:
                failure.remaining -= 1
            return failure

    def fate_of_message(self, node: str) -> float | None:
        """Seconds by which the message to ``node`` is delayed; None if it is lost."""
        late_seconds: float | None = 0.0
        with self._lock:
            for rule in list(self._messages):
                if rule.node not in (None, node):
                    continue
                rule.remaining -= 1
                if rule.remaining > 0:
                    continue
                if not rule.is_forever:
                    self._messages.remove(rule)
                if rule.delay_seconds is None or late_seconds is None:
                    late_seconds = None
                else:
                    late_seconds += rule.delay_seconds
        return late_seconds

    def fate_of_call(self, node: str, method: str, params: Any) -> CallFault | RpcError | None:
        """How the call that has just arrived fails; None if it does not."""
        with self._lock:
            for rule in self._calls:
                if rule.node != node or rule.method not in (None, method):
                    continue
                named = params if isinstance(params, dict) else {}
                if not rule.params.items() <= named.items():
                    continue
                rule.times -= 1
                if rule.times == 0:
                    self._calls.remove(rule)
                return rule.fault
        return None

    def behind(self, node: str) -> tuple[Sync, Hold] | None:
        """Why a node is behind the chain, and what waits for it; None if it is not."""
        with self._lock:
            return self._behind.get(node)

    def _add_message_rule(self, rule: _MessageRule) -> None:
        with self._lock:
            self._messages.append(rule)

    def _change_payer(self, payer: str, **changes: object) -> None:
        with self._lock:
            behaviour = self._payers.get(payer, Payer())
            self._payers[payer] = replace(behaviour, **changes)  # type: ignore[arg-type]
