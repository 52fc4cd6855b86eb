"""One request, from validation to outcome. The only place that knows the order.

The calls of one send, in order: ``getinfo``, ``help``, ``listinvoices``,
``listpeers`` (and, where the payer is no peer, ``listnodes`` and
``listchannels``, and perhaps ``connect``), ``createinvoice``,
``sendinvoice-expect``, ``createonion`` and ``injectonionmessage`` (or the one
older call), then ``waitinvoice`` and ``sendinvoice-replies`` side by side,
and ``listinvoices`` for the last word.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import Any, Protocol

from .bolt12 import fields, invoice, invoice_request, tlv
from .bolt12.invoice_error import InvoiceError
from .bolt12.invoice_request import InvoiceRequest
from .bolt12.tlv import Record
from .errors import (
    ExitStatus,
    InterruptedBySignalError,
    LabelTakenError,
    LightningdError,
    MalformedError,
    NoRouteError,
    OutcomeUnknownError,
    PayerError,
    SendInvoiceError,
    TimedOutError,
    UnreachableError,
)
from .node import info, invoices, messages
from .node.client import Client, ConnectionLostError
from .node.replies import HelperUnavailableError, Reply, ReplySession
from .node.routes import Route, Router
from .node.watch import Background, HelperLost, InvoiceClosed, Watch
from .onion import message
from .request import Request, amount_to_ask

#: Seconds from one copy of the invoice to the next, while nothing is heard;
#: the last goes on. A payer that got the first one needs seconds at most to
#: answer, and one that got none loses little.
COPY_INTERVALS = (8, 16, 32, 60)
#: Seconds before the deadline in which no more copies are sent.
LAST_COPY_BEFORE = 5

#: Seconds between attempts to reach a lightningd that is gone; the last goes on.
RECONNECT_INTERVALS = (0.1, 0.2, 0.5, 1, 2, 5)

#: Seconds to go on trying past the deadline, to learn how it ended.
LAST_WORD_SECONDS = 30

#: Seconds past the deadline for which the helper keeps what it hears.
REPLY_GRACE = 60

#: How often a helper that died is started again.
HELPER_RESTARTS = 1


@dataclass(frozen=True)
class Ask:
    """What the payer asks for, for people to see.

    :param payer_id: 33 bytes.
    :param expires_at: UNIX seconds, None for never.
    """

    amount_msat: int
    description: str | None
    issuer: str | None
    payer_note: str | None
    payer_id: bytes
    expires_at: int | None


class Progress(Protocol):
    """Who is told how it goes. What strangers wrote is passed on as they wrote it."""

    def asked(self, ask: Ask) -> None:
        """The request is readable."""

    def step(self, text: str) -> None:
        """Something was done."""

    def routed(self, aliases: Callable[[], list[str]]) -> None:
        """A route is taken; ``aliases`` looks up the names of its nodes."""

    def waiting(self, until: float) -> None:
        """Nothing is left but to wait, at most until then (UNIX seconds)."""

    def warn(self, text: str, hint: str | None = None) -> None:
        """Something is not as it should be, and it goes on all the same."""


@dataclass(frozen=True)
class Outcome:
    """How one request ended.

    :param known: the contract's JSON fields, as far as they are known.
    :param error: None for success.
    """

    known: Mapping[str, Any]
    error: SendInvoiceError | None = None

    @property
    def exit_status(self) -> ExitStatus:
        """What the command exits with."""
        return ExitStatus.PAID if self.error is None else self.error.exit_status

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON object."""
        return {
            **self.known,
            "exit_code": int(self.exit_status),
            "error": None if self.error is None else self.error.as_json(),
        }


def send(
    request: Request,
    client: Client,
    progress: Progress,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Answer one request, and wait for how it ends.

    :param clock: UNIX seconds.
    :param sleep: seconds, between attempts to reach a lightningd that is gone.
    :returns: always; every error is part of the outcome, except that a
        UsageError is raised.
    """
    sending = _Sending(request, client, progress, clock, sleep)
    try:
        sending.run()
    except InterruptedBySignalError as signal:
        return sending.outcome(_interrupted(signal, sending.known))
    except SendInvoiceError as error:
        return sending.outcome(error)
    return sending.outcome()


def _interrupted(
    signal: InterruptedBySignalError, known: Mapping[str, Any]
) -> InterruptedBySignalError:
    """Say what an interruption leaves behind."""
    label = known["label"]
    resume = "run the same command again to go on"
    if "bolt12" not in known:
        return type(signal)(f"interrupted; no invoice {label!r} is known to exist yet", hint=resume)
    until = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(known["expires_at"]))
    return type(signal)(
        f"interrupted; invoice {label!r} may still be paid until {until}: {known['bolt12']}",
        hint=resume,
        data={"invstring": known["bolt12"]},
    )


@dataclass
class _Copy:
    """One message that was sent; ``refusal`` is what answered it."""

    route: Route
    refusal: InvoiceError | None = None


@dataclass
class _Sending:
    """The state of one send."""

    request: Request
    client: Client
    progress: Progress
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    known: dict[str, Any] = field(init=False)
    #: Whether an earlier run of the command may have sent this invoice.
    resumed: bool = False
    copies: dict[bytes, _Copy] = field(default_factory=dict)
    #: The last thing the payer said.
    refusal: InvoiceError | None = None
    replies: ReplySession | None = None
    helper_restarts: int = HELPER_RESTARTS

    def __post_init__(self) -> None:
        self.known = {"label": self.request.label}
        self.watch = Watch(self.client, self.request.label)

    def outcome(self, error: SendInvoiceError | None = None) -> Outcome:
        return Outcome(self.known, error)

    def run(self) -> None:
        request = self.request
        self.invreq = invoice_request.decode(request.invreq)
        self.amount_msat = amount_to_ask(request, self.invreq)
        self._show_ask()
        self.node = info.read(self.client)
        info.check_chain(self.invreq.chain, self.node)
        if self._find_stored():
            return
        if not self.resumed:
            invoice_request.check_expiry(self.invreq, self.clock())
        if request.dry_run:
            self._show_plan()
            return
        if not request.no_replies:
            self._start_replies()
        self._look_for_routes()
        if not self.resumed and not self._create():
            return
        self._deliver()
        self._wait()

    # --- before there is an invoice ---

    def _show_ask(self) -> None:
        invreq = self.invreq
        self.progress.asked(
            Ask(
                amount_msat=self.amount_msat,
                description=invreq.description,
                issuer=invreq.issuer,
                payer_note=invreq.payer_note,
                payer_id=invreq.payer_id,
                expires_at=invreq.expires_at,
            )
        )
        if invreq.amount_msat is not None and self.amount_msat > invreq.amount_msat:
            self.progress.warn(
                f"asking for {self.amount_msat} msat, {invreq.amount_msat} msat are offered",
                hint="payers refuse more than they offered",
            )

    def _find_stored(self) -> bool:
        """Look at the invoice that has the label; True when nothing is left to do."""
        stored = invoices.find(self.client, self.request.label)
        if stored is None:
            self.resumed = False
            return False
        if not _is_for(stored, self.invreq, self.amount_msat):
            raise invoices.label_taken(self.request.label, stored)
        if stored["status"] == "paid":
            self.known.update(stored)
            self.progress.step("This invoice was paid before; nothing was sent")
            return True
        if stored["status"] == "expired" or stored["expires_at"] <= self.clock():
            if not self.request.renew:
                raise LabelTakenError(
                    f"the invoice {self.request.label!r} for this request has expired unpaid",
                    hint="--renew replaces it with a fresh one",
                    data=stored,
                )
            if not self.request.dry_run:
                invoices.delete(self.client, self.request.label, stored["status"])
                self.progress.step("Deleted the expired invoice")
            self.resumed = False
            return False
        self.known.update(stored)
        self.resumed = True
        self.progress.step("This invoice exists already; sending it again")
        return False

    def _show_plan(self) -> None:
        """--dry-run: tell what would happen."""
        self.router = self._router()
        route = next(self.router.routes(connect=False), None)
        if route is None:
            raise _no_route(self.router)
        self.known.update(
            {
                "status": "dry-run",
                "amount_msat": self.amount_msat,
                "payer": self.invreq.payer_id.hex(),
                "network": self.node.network,
                "path": [node.hex() for node in route.nodes],
                "would_connect": route.would_connect,
            }
        )
        if self.invreq.description is not None:
            self.known["description"] = self.invreq.description
        self._show_route(route)

    def _router(self) -> Router:
        return Router(
            self.client, self.node, self.invreq, allow_connect=not self.request.no_connect
        )

    def _look_for_routes(self) -> None:
        """Find the way the first copy will go, before anything is created."""
        self.router = self._router()
        self.routes = self.router.routes()
        first = next(self.routes, None)
        if first is not None:
            self.routes = chain((first,), self.routes)
            return
        error = _no_route(self.router)
        if not self.resumed:
            raise error
        # An earlier run may have sent the invoice, so it may be paid all the same.
        self.progress.warn(error.message, error.hint)

    def _start_replies(self) -> None:
        """Have the reply helper started while the rest is being prepared."""
        session = ReplySession(self.client, self.clock() + self.request.timeout + REPLY_GRACE)
        self.replies = session
        self.helper_start = Background(session.start)

    def _create(self) -> bool:
        """Create the invoice; False when another command did, and it is paid already."""
        preimage = secrets.token_bytes(32)
        unsigned = invoice.build_unsigned(
            self.invreq,
            amount_msat=self.amount_msat,
            payment_hash=sha256(preimage).digest(),
            node_id=self.node.id,
            created_at=int(self.clock()),
            relative_expiry=self.request.timeout,
        )
        give_up_at = self.clock() + self.request.timeout
        while True:
            try:
                stored = invoices.create(
                    self.client, invoice.encode(unsigned), self.request.label, preimage
                )
            except LabelTakenError:
                # Another command, with the same label, was faster, or lightningd
                # had stored this very invoice before the connection broke.
                if self._find_stored():
                    return False
                if self.resumed:
                    return True
            except ConnectionLostError as lost:
                self._reconnect(lost, give_up_at)
            else:
                break
        _check_created(stored, unsigned)
        self.known.update(stored)
        self.progress.step("Invoice created")
        return True

    # --- from here on the invoice exists ---

    def _deliver(self) -> None:
        """Send the first copy.

        :raises NoRouteError: no way took it.
        """
        self.invoice_records = invoice.decode(self.known["bolt12"])
        self.watch.follow_invoice()
        if self.replies is not None:
            self._await_helper()
        if not self._send_copy() and not self.resumed:
            raise _no_route(self.router)
        if self.replies is not None:
            self.watch.follow_replies(self.replies)

    def _await_helper(self) -> None:
        try:
            self.helper_start.result()
        except HelperUnavailableError as failure:
            self._do_without_helper(str(failure))

    def _do_without_helper(self, reason: str) -> None:
        self.replies = None
        self.progress.warn(
            f"the payer's answers cannot be heard: {reason}",
            "a refusal will look like a timeout; --no-replies silences this",
        )

    def _send_copy(self) -> bool:
        """Send the invoice once more, the first way that takes it; False when none does."""
        for route in self.routes:
            path_id = secrets.token_bytes(32)
            content = [Record(message.INVOICE, tlv.encode_stream(self.invoice_records))]
            try:
                if self.replies is not None:
                    self.replies.expect(path_id)
                    back = message.reply_path(route.reply_nodes, path_id)
                    content.insert(0, Record(message.REPLY_PATH, back.encode()))
                messages.send(
                    self.client, self.node.onion_api, route.nodes, content, route.their_path
                )
            except HelperUnavailableError as failure:
                self._do_without_helper(str(failure))
                self.routes = chain((route,), self.routes)
                return self._send_copy()
            except LightningdError as failure:
                self.router.gave_up(route.nodes[-1], failure.message)
                continue
            self.copies[path_id] = _Copy(route)
            self._show_route(route)
            return True
        return False

    def _send_another_copy(self) -> None:
        """Send the same invoice again, other ways first."""
        number = len(self.copies)
        used = {node for copy in self.copies.values() for node in copy.route.nodes[1:-1]}
        self.router = self._router()
        self.routes = self.router.routes(avoid=used, first=number)
        self.progress.step("Nothing heard yet; sending the invoice again")
        try:
            self._send_copy()
        except UnreachableError as lost:
            self._reconnect_and_follow(lost)

    def _wait(self) -> None:
        """Wait until the invoice is paid.

        :raises PayerError: the payer refused it.
        :raises TimedOutError: it was not paid in time.
        :raises OutcomeUnknownError: lightningd is gone.
        """
        deadline = self.known["expires_at"]
        self.progress.waiting(deadline)
        copy_at = self.clock() + COPY_INTERVALS[0]
        while (now := self.clock()) < deadline:
            event = self.watch.next_event(min(copy_at, deadline) - now)
            if event is None:
                if self.clock() >= copy_at:
                    if copy_at <= deadline - LAST_COPY_BEFORE:
                        self._send_another_copy()
                    copy_at = self.clock() + _interval(COPY_INTERVALS, len(self.copies) - 1)
            elif isinstance(event, InvoiceClosed):
                break
            elif isinstance(event, Reply):
                self._hear(event)
                if self._is_refused():
                    break
            elif isinstance(event, HelperLost):
                self._restart_helper(event.reason)
            else:
                self._reconnect_and_follow(event.error)
                if self.known["status"] != "unpaid":
                    break
        self._conclude(deadline)

    def _hear(self, reply: Reply) -> None:
        copy = self.copies.get(reply.path_id)
        if copy is not None:
            copy.refusal = reply.error
            self.refusal = reply.error

    def _is_refused(self) -> bool:
        """Whether the payer's refusal is final.

        An error may answer a repeated copy while the first one is being paid:
        it is final only once every copy is answered, and none is unknown.
        """
        if self.resumed:
            return False
        return all(copy.refusal is not None for copy in self.copies.values())

    def _restart_helper(self, reason: str) -> None:
        if self.replies is None:
            return
        if self.helper_restarts == 0:
            self._do_without_helper(reason)
            return
        self.helper_restarts -= 1
        try:
            self.replies.start()
        except HelperUnavailableError as failure:
            self._do_without_helper(str(failure))
        except UnreachableError as lost:
            self._reconnect_and_follow(lost)
        else:
            self.watch.follow_replies(self.replies)

    def _conclude(self, deadline: float) -> None:
        """Read the invoice's state last, so that a paid one is never called unpaid."""
        while True:
            try:
                self._read_state()
                break
            except UnreachableError as lost:
                self._reconnect(lost, max(deadline, self.clock() + LAST_WORD_SECONDS))
        if self.known["status"] == "paid":
            self.progress.step("Paid")
            return
        if self.refusal is not None:
            raise _refused(self.refusal)
        if not self.copies:
            raise _no_route(self.router)
        raise TimedOutError(
            "the invoice was not paid in time, and the payer sent no answer",
            hint="ask the payer for a new request, or try this one again with --renew",
            data={"invstring": self.known["bolt12"]},
        )

    def _read_state(self) -> None:
        stored = invoices.find(self.client, self.request.label)
        if stored is None:
            raise LightningdError(
                f"the invoice {self.request.label!r} was deleted from lightningd meanwhile"
            )
        self.known.update(stored)

    # --- when lightningd goes away ---

    def _reconnect_and_follow(self, lost: UnreachableError) -> None:
        """Regain lightningd, see what happened meanwhile, and go on waiting."""
        self._reconnect(lost, self.known["expires_at"])
        self._read_state()
        if self.known["status"] != "unpaid":
            return
        self.watch = Watch(self.client, self.request.label)
        self.watch.follow_invoice()
        if self.replies is not None:
            try:
                self.replies.start()
            except HelperUnavailableError as failure:
                self._do_without_helper(str(failure))
            else:
                self.watch.follow_replies(self.replies)

    def _reconnect(self, lost: UnreachableError, until: float) -> None:
        """Try to reach lightningd again, less and less often.

        :param until: UNIX seconds.
        :raises OutcomeUnknownError: it stays away.
        """
        self.progress.warn(lost.message, "trying to reach it again")
        attempt = 0
        while self.clock() < until:
            self.sleep(min(_interval(RECONNECT_INTERVALS, attempt), max(until - self.clock(), 0)))
            attempt += 1
            try:
                self.client.call("getinfo")
            except UnreachableError:
                continue
            except LightningdError:
                # It is there, and still starting up.
                continue
            self.progress.step("lightningd is back")
            return
        raise OutcomeUnknownError(
            f"outcome unknown: lightningd is gone, and with it what became of invoice "
            f"{self.request.label!r}",
            hint="once it is back, run the same command again, or look with "
            f"'lightning-cli listinvoices {self.request.label}'",
        )

    def _show_route(self, route: Route) -> None:
        def name(node: bytes) -> str:
            return self.router.graph.alias(node) or node.hex()[:16]

        self.progress.routed(lambda: ["us", *(name(node) for node in route.nodes[1:])])


def _interval(intervals: tuple[float, ...], at: int) -> float:
    return intervals[min(max(at, 0), len(intervals) - 1)]


def _is_for(stored: Mapping[str, Any], invreq: InvoiceRequest, amount_msat: int) -> bool:
    """Whether a stored invoice answers this request, with this amount."""
    if stored.get("amount_msat") != amount_msat or "bolt12" not in stored:
        return False
    try:
        return invoice.answers(invoice.decode(stored["bolt12"]), invreq)
    except MalformedError:
        return False


def _check_created(stored: Mapping[str, Any], unsigned: tuple[Record, ...]) -> None:
    """lightningd's answer must be the invoice asked for, before anybody gets to see it."""
    try:
        invoice.check_signed(invoice.decode(stored["bolt12"]), unsigned)
    except (KeyError, MalformedError) as failure:
        reason = failure.message if isinstance(failure, MalformedError) else "no bolt12"
        raise LightningdError(
            f"createinvoice: lightningd returned another invoice than asked for ({reason}); "
            "it was not sent"
        ) from None


def _no_route(router: Router) -> NoRouteError:
    reasons = "; ".join(f"{end.target}: {end.reason}" for end in router.dead_ends)
    return NoRouteError(
        f"no route to the payer ({reasons})",
        hint="connect your node to the payer, or to a node that it is connected to",
        data={"tried": [{"node": end.target, "reason": end.reason} for end in router.dead_ends]},
    )


def _refused(refusal: InvoiceError) -> PayerError:
    data: dict[str, Any] = {"error": refusal.text}
    if refusal.erroneous_field is not None:
        data["erroneous_field"] = refusal.erroneous_field
    if refusal.suggested_value is not None:
        data["suggested_value"] = refusal.suggested_value.hex()
    where = ""
    if refusal.erroneous_field is not None:
        where = f" (about {fields.field_name(refusal.erroneous_field)})"
    return PayerError(f"the payer refused the invoice{where}: {refusal.text}", data=data)
