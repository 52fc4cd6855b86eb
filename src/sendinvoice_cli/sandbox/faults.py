"""What can be made to go wrong, by tests. All of it may be asked for from any thread."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace
from enum import Enum

from .rpc.errors import RpcError


class CallFault(Enum):
    """How a call goes wrong."""

    #: The connection is closed, and nothing was done.
    CLOSE_BEFORE = "close before"
    #: The call takes effect, and the connection is closed instead of an answer.
    CLOSE_AFTER = "close after"
    #: The call takes effect; the answer is not JSON.
    GARBAGE = "garbage"
    #: No answer ever comes; nothing was done.
    NEVER = "never"


class Hold:
    """Payments that stay in flight until they are released."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._released = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def release(self) -> None:
        """Let them go on."""
        with self._lock:
            self._released = True
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def wait(self) -> None:
        """Return once it is released."""
        event = asyncio.Event()
        with self._lock:
            if self._released:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()


@dataclass(frozen=True)
class PayerBehaviour:
    """How a node deals with the invoices that reach it.

    :param refusal: the text of the invoice_error that it answers with, at once.
    :param ignored: it neither pays nor answers invoices that hold these
        bytes; None for none.
    :param sends_msat: what it pays, whatever the invoice says.
    :param hold: its payments stay in flight until this is released.
    :param delay_seconds: they stay in flight for so long.
    """

    refusal: str | None = None
    ignored: bytes | None = None
    sends_msat: int | None = None
    hold: Hold | None = None
    delay_seconds: float = 0


@dataclass
class _MessageRule:
    node: str | None
    remaining: int
    #: None drops the message.
    delay_seconds: float | None
    is_forever: bool = False


@dataclass
class _CallRule:
    node: str
    method: str
    fault: CallFault
    times: int


@dataclass(frozen=True)
class MessageFate:
    """What happens to a message on its way: it is dropped, or comes late."""

    is_dropped: bool = False
    delay_seconds: float = 0


class Faults:
    """The faults of one sandbox."""

    def __init__(self) -> None:
        self._payers: dict[str, PayerBehaviour] = {}
        self._messages: list[_MessageRule] = []
        self._calls: list[_CallRule] = []
        self._plugin_errors: dict[str, RpcError] = {}
        self._lock = threading.Lock()

    def drop_message(self, n: int = 1, *, at: str | None = None) -> None:
        """Lose the n-th onion message from now on.

        :param at: count only those on their way to this node.
        """
        self._add_message_rule(_MessageRule(at, n, None))

    def drop_messages(self, *, at: str | None = None) -> None:
        """Lose all onion messages from now on; ``at`` as in :meth:`drop_message`."""
        self._add_message_rule(_MessageRule(at, 1, None, is_forever=True))

    def delay_message(self, n: int = 1, *, seconds: float, at: str | None = None) -> None:
        """Have the n-th onion message from now on arrive late, by the sandbox's clock."""
        self._add_message_rule(_MessageRule(at, n, seconds))

    def refuse(self, payer: str, text: str) -> None:
        """Have a payer answer every invoice with an invoice_error."""
        self._change_payer(payer, refusal=text)

    def be_silent(self, payer: str, part: bytes = b"") -> None:
        """Have a payer take no notice of invoices.

        :param part: only of those that hold these bytes.
        """
        self._change_payer(payer, ignored=part)

    def pay_amount(self, payer: str, amount_msat: int) -> None:
        """Have a payer send that much, whatever the invoice says."""
        self._change_payer(payer, sends_msat=amount_msat)

    def hold_payments(self, payer: str) -> Hold:
        """Keep a payer's payments in flight until the returned object's ``release()``."""
        hold = Hold()
        self._change_payer(payer, hold=hold)
        return hold

    def delay_payments(self, payer: str, seconds: float) -> None:
        """Keep each of a payer's payments in flight for so long, by the sandbox's clock."""
        self._change_payer(payer, delay_seconds=seconds)

    def behave(self, payer: str) -> None:
        """Have a payer act as lightningd does again."""
        with self._lock:
            self._payers.pop(payer, None)

    def break_call(self, node: str, method: str, fault: CallFault, times: int = 1) -> None:
        """Have the next calls of a method go wrong at one node."""
        with self._lock:
            self._calls.append(_CallRule(node, method, fault, times))

    def refuse_plugins(self, node: str, code: int, text: str) -> None:
        """Have ``plugin start`` fail at one node, as when it cannot run the file."""
        with self._lock:
            self._plugin_errors[node] = RpcError(code, text)

    def clear(self) -> None:
        """Take back every fault, and release nothing."""
        with self._lock:
            self._payers.clear()
            self._messages.clear()
            self._calls.clear()
            self._plugin_errors.clear()

    def payer(self, name: str) -> PayerBehaviour:
        """How a node deals with invoices."""
        with self._lock:
            return self._payers.get(name, PayerBehaviour())

    def fate_of_message(self, node: str) -> MessageFate:
        """What happens to the message that is on its way to ``node`` now."""
        fate = MessageFate()
        with self._lock:
            for rule in list(self._messages):
                if rule.node not in (None, node):
                    continue
                rule.remaining -= 1
                if rule.remaining > 0:
                    continue
                if not rule.is_forever:
                    self._messages.remove(rule)
                if rule.delay_seconds is None:
                    fate = replace(fate, is_dropped=True)
                else:
                    fate = replace(fate, delay_seconds=fate.delay_seconds + rule.delay_seconds)
        return fate

    def fate_of_call(self, node: str, method: str) -> CallFault | None:
        """How the call that has just come goes wrong."""
        with self._lock:
            for rule in self._calls:
                if rule.node == node and rule.method == method:
                    rule.times -= 1
                    if rule.times == 0:
                        self._calls.remove(rule)
                    return rule.fault
        return None

    def plugin_error(self, node: str) -> RpcError | None:
        """Why a node cannot start plugins."""
        with self._lock:
            return self._plugin_errors.get(node)

    def _add_message_rule(self, rule: _MessageRule) -> None:
        with self._lock:
            self._messages.append(rule)

    def _change_payer(self, payer: str, **changes: object) -> None:
        with self._lock:
            behaviour = self._payers.get(payer, PayerBehaviour())
            self._payers[payer] = replace(behaviour, **changes)  # type: ignore[arg-type]
