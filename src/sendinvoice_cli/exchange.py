"""One request and its invoice: the steps of answering it, and what is known so far.

The steps are put in order by send.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from .bolt12 import fields, invoice, invoice_request, tlv
from .bolt12.invoice_error import InvoiceError
from .bolt12.invoice_request import InvoiceRequest
from .bolt12.tlv import Record
from .errors import (
    ExitStatus,
    LabelTakenError,
    LightningdError,
    MalformedError,
    NoRouteError,
    PayerError,
    SendInvoiceError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from .node import info, invoices, messages, payment_paths
from .node.client import Client, ConnectionLostError
from .node.graph import Graph
from .node.info import NodeInfo, OnionApi
from .node.payment_paths import IncomingChannel
from .node.replies import Reply, ReplySession
from .node.routes import Route, Router
from .onion import message
from .request import Request, amount_to_ask

#: In CLN's refusal of an invoice that it is paying already.
_IN_PROGRESS = "still in progress"


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


def unexpected(failure: Exception) -> SendInvoiceError:
    """The error for what should not happen: a fault of ours, or an answer nobody foresaw."""
    return SendInvoiceError(
        f"something unexpected: {type(failure).__name__}: {failure}",
        hint="if lightningd's version is supported, please report this",
    )


@dataclass
class Copy:
    """One message with the invoice in it; ``refusal`` is what answered it."""

    route: Route
    refusal: InvoiceError | None = None


class Exchange:
    """One request on its way to an outcome.

    :param clock: UNIX seconds.
    """

    def __init__(
        self,
        request: Request,
        client: Client,
        progress: Progress,
        clock: Callable[[], float],
    ) -> None:
        self.request = request
        #: The contract's JSON fields, as far as they are known.
        self.known: dict[str, Any] = {"label": request.label}
        #: The messages sent so far, by path_id.
        self.copies: dict[bytes, Copy] = {}
        #: Whether the invoice was there before us.
        self.resumed = False
        #: Whether the invoice may exist, even if lightningd could not say so any more.
        self.maybe_created = False
        #: The expired invoice that a fresh one is to replace.
        self._expired: Mapping[str, Any] | None = None
        #: Whether a message may be out that we know nothing of.
        self.maybe_sent = False
        #: The last thing the payer said.
        self.refusal: InvoiceError | None = None
        self._client = client
        self._progress = progress
        self._clock = clock
        self._channels: list[IncomingChannel] = []
        #: The way the next copy will go, and more of them.
        self._route: Route | None = None
        self._routes: Iterator[Route] = iter(())
        # Made here, so that a lightningd which stored the invoice but could not
        # answer any more is recognised by its payment hash.
        self._preimage = secrets.token_bytes(32)

    # --- before there is an invoice ---

    def read(self) -> None:
        """Read the request, without any lightningd.

        :raises MalformedError: it breaks the rules of its encoding.
        :raises UnanswerableRequestError: BOLT 12 has its reader reject it.
        :raises UsageError: amount and quantity do not fit it.
        """
        if not _is_utf8(self.request.label):
            raise UsageError("the label is not valid UTF-8")
        self._invreq = invreq = invoice_request.decode(self.request.invreq)
        self._amount_msat = amount_to_ask(self.request, invreq)
        self._progress.asked(
            Ask(
                amount_msat=self._amount_msat,
                description=invreq.description,
                issuer=invreq.issuer,
                payer_note=invreq.payer_note,
                payer_id=invreq.payer_id,
                expires_at=invreq.expires_at,
            )
        )
        if invreq.amount_msat is not None and self._amount_msat > invreq.amount_msat:
            self._progress.warn(
                f"asking for {self._amount_msat} msat, {invreq.amount_msat} msat are offered",
                "payers refuse more than they offered",
            )

    def find(self, node: NodeInfo, graph: Graph) -> bool:
        """See whether the request is for this node, and what has the label (``listinvoices``).

        :param graph: may be shared with other exchanges.
        :returns: False when it is paid already, and nothing is left to do.
        :raises UnanswerableRequestError: it is for another network.
        :raises LabelTakenError: the label belongs to another invoice, or to an expired one.
        :raises RequestExpiredError: it has expired, and nobody answered it before.
        """
        self._node = node
        self._graph = graph
        info.check_chain(self._invreq.chain, node)
        if not self._find_stored():
            return False
        if not self.resumed:
            invoice_request.check_expiry(self._invreq, self._clock())
        return True

    def _find_stored(self) -> bool:
        label = self.request.label
        stored = invoices.find(self._client, label)
        self._expired = None
        self.resumed = self.maybe_sent = False
        if stored is None:
            return True
        if not _answers(stored, self._invreq):
            raise invoices.label_taken(label, stored)
        if stored["amount_msat"] != self._amount_msat:
            raise LabelTakenError(
                f"the label {label!r} belongs to an invoice for this request "
                f"over {stored['amount_msat']} msat, not {self._amount_msat} msat",
                hint="ask for that amount, or choose another label",
                data=stored,
            )
        if stored["status"] == "paid":
            self.known.update(stored)
            self._progress.step("This invoice was paid before; nothing was sent")
            return False
        if stored["status"] == "expired" or stored["expires_at"] <= self._clock():
            if not self.request.renew:
                raise LabelTakenError(
                    f"the invoice {label!r} for this request has expired unpaid",
                    hint="--renew replaces it with a fresh one",
                    data=stored,
                )
            self._expired = stored
            return True
        self.known.update(stored)
        self.resumed = self.maybe_sent = self.maybe_created = True
        self._progress.step("This invoice exists already; sending it again")
        return True

    def _delete_expired(self) -> bool:
        """Make room for a fresh invoice; False when there is a paid one after all."""
        stored = self._expired
        if stored is None:
            return True
        try:
            invoices.delete(self._client, self.request.label, stored["status"])
        except LightningdError:
            # It was paid after all, or another command was faster.
            if invoices.find(self._client, self.request.label) == stored:
                raise
            return self._find_stored()
        self._expired = None
        self._progress.step("Deleted the expired invoice")
        return True

    def choose_payment_paths(self) -> None:
        """See how we can be paid.

        :raises LightningdError: only through nodes that will not do.
        """
        if self.resumed:
            return
        inbound = payment_paths.choose(self._client, self._node, self._graph, self._amount_msat)
        self._channels = list(inbound.blinded)
        if self._channels:
            self._progress.step(
                "To be paid through " + ", ".join(str(each) for each in self._channels)
            )
            most_msat = sum(each.capacity_msat for each in self._channels)
            if most_msat < self._amount_msat:
                self._progress.warn(
                    f"asking for {self._amount_msat} msat, "
                    f"and this node's channels can receive {most_msat} msat at most",
                    "the payer will hardly find a route; ask for less, "
                    "or open a channel with inbound capacity",
                )
        elif not self._graph.is_public(self._node.id):
            self._progress.warn(
                "this node has no public channel, and no peer to be paid through",
                "the payer will hardly find a route; open a channel with inbound capacity",
            )

    def plan(self) -> None:
        """Tell what would happen, and change nothing.

        :raises NoRouteError: it could not be sent.
        """
        self._router = self._new_router()
        route = next(self._router.routes(connect=False), None)
        if route is None:
            raise self.no_route()
        self._check_version()
        self.known.update(
            {
                "status": "dry-run",
                "amount_msat": self._amount_msat,
                "payer": self._invreq.payer_id.hex(),
                "network": self._node.network,
                "path": [node.hex() for node in route.nodes],
                "would_connect": route.would_connect,
                "payment_paths": [each.as_json() for each in self._channels],
            }
        )
        if self._invreq.description is not None:
            self.known["description"] = self._invreq.description
        self._show_route(route)

    def look_for_routes(self) -> None:
        """Find the way the first copy will go, before anything is created.

        :raises NoRouteError: there is none.
        """
        self._router = self._new_router()
        self._routes = self._router.routes()
        self._route = next(self._routes, None)
        if self._route is None:
            error = self.no_route()
            if not self.resumed:
                raise error
            # An earlier run may have sent the invoice, so it may be paid all the same.
            self._progress.warn(error.message, error.hint)
        self._check_version()

    def _check_version(self) -> None:
        """Old versions take field 90 for another one, and can make no invoice with it."""
        if self._invreq.paths and self._node.onion_api is OnionApi.SEND_HOPS:
            raise LightningdError(
                f"lightningd {self._node.version} cannot answer a request with invreq_paths",
                hint="v24.08 and later can",
            )

    def _new_router(self) -> Router:
        self._dead_ends_shown = 0
        return Router(
            self._client,
            self._node,
            self._graph,
            self._invreq,
            allow_connect=not self.request.no_connect,
        )

    def create(self) -> bool:
        """Have lightningd sign and store the invoice, unless there is one already.

        May be called again when the connection broke in between: it never makes a second one.

        :returns: False when it is paid already.
        :raises LabelTakenError: the label belongs to another invoice by now.
        :raises LightningdError: lightningd refused, or returned another invoice.
        """
        if not self._delete_expired():
            return False
        if self.resumed:
            return True
        payment_hash = sha256(self._preimage).digest()
        unsigned = invoice.build_unsigned(
            self._invreq,
            amount_msat=self._amount_msat,
            payment_hash=payment_hash,
            node_id=self._node.id,
            created_at=int(self._clock()),
            relative_expiry=self.request.timeout,
            payment_paths=payment_paths.build(
                self._client, self._node, self._channels, payment_hash, self.request.timeout
            ),
        )
        try:
            stored = invoices.create(
                self._client, invoice.encode(unsigned), self.request.label, self._preimage
            )
        except ConnectionLostError:
            self.maybe_created = True
            raise
        except LabelTakenError:
            # Another command with the same label was faster, or lightningd had
            # stored this very invoice before the connection broke.
            if not self._find_stored():
                return False
            if not self.resumed:
                raise
            if self.known["payment_hash"] == payment_hash.hex():
                self.resumed = self.maybe_sent = False
            return True
        self.maybe_created = True
        try:
            _check_created(stored, unsigned)
        except LightningdError:
            # Nobody has seen it, so nobody can pay it: free the label again.
            with suppress(LightningdError):
                invoices.delete(self._client, self.request.label, "unpaid")
            raise
        self.known.update(stored)
        self._progress.step("Invoice created")
        return True

    # --- from here on the invoice exists ---

    @property
    def expires_at(self) -> int:
        """When the invoice can be paid no more, UNIX seconds."""
        expires_at: int = self.known["expires_at"]
        return expires_at

    def transmit(self, replies: ReplySession | None) -> bool:
        """Send the invoice once, the first way that takes it.

        :param replies: who hears the answers, None when nobody does.
        :returns: False when no way takes it.
        :raises HelperUnavailableError: nobody can hear them any more; nothing was sent.
        :raises UnreachableError: lightningd is gone. May be called again.
        """
        encoded = tlv.encode_stream(invoice.decode(self.known["bolt12"]))
        while (route := self._route or next(self._routes, None)) is not None:
            self._route = route
            path_id = secrets.token_bytes(32)
            content = [Record(message.INVOICE, encoded)]
            if replies is not None:
                replies.expect(path_id)
                back = message.reply_path(route.reply_nodes, path_id)
                content.insert(0, Record(message.REPLY_PATH, back.encode()))
            try:
                messages.send(
                    self._client, self._node.onion_api, route.nodes, content, route.their_path
                )
            except LightningdError as failure:
                self._router.gave_up(route.nodes[-1], failure.message)
                self._route = None
            except UnreachableError:
                self.maybe_sent = True
                raise
            else:
                self.copies[path_id] = Copy(route)
                self._route = None
                self._show_route(route)
                return True
        return False

    def look_for_other_routes(self, graph: Graph) -> None:
        """Prepare another copy: over other nodes and into other paths first.

        :param graph: as fresh as the caller thinks it should be.
        """
        used = {node for copy in self.copies.values() for node in copy.route.nodes[1:-1]}
        self._graph = graph
        self._router = self._new_router()
        self._routes = self._router.routes(avoid=used, first=len(self.copies))
        self._route = next(self._routes, None)

    @property
    def next_route(self) -> Route | None:
        """The way the next copy will go, as far as it is known before it is sent."""
        return self._route

    def hear(self, reply: Reply) -> None:
        """Take an answer of the payer's."""
        copy = self.copies.get(reply.path_id)
        if copy is not None:
            copy.refusal = self.refusal = reply.error

    def is_refused(self) -> bool:
        """Whether the payer's refusal is final.

        An error may answer a repeated copy while the first one is being paid:
        it is final only once every copy is answered, and none is unknown. Of a
        copy that another command has sent meanwhile, only the payer tells.
        """
        return (
            bool(self.copies)
            and not self.maybe_sent
            and all(
                copy.refusal is not None and _IN_PROGRESS not in copy.refusal.text
                for copy in self.copies.values()
            )
        )

    def read_state(self) -> None:
        """Ask lightningd what became of the invoice (``listinvoices``).

        :raises LightningdError: it was deleted.
        """
        self.learn_state(invoices.find(self._client, self.request.label))

    def learn_state(self, stored: Mapping[str, Any] | None) -> None:
        """Take what lightningd says of the invoice; None when it has none by this label.

        :raises LightningdError: it was deleted.
        """
        if stored is None:
            raise LightningdError(
                f"the invoice {self.request.label!r} was deleted from lightningd meanwhile"
            )
        self.known.update(stored)

    def conclude(self) -> None:
        """Judge by the state that was read last: a paid invoice is never called unpaid.

        :raises PayerError: unpaid, and the payer said why.
        :raises NoRouteError: unpaid, and never sent.
        :raises TimedOutError: unpaid.
        """
        if self.known["status"] == "paid":
            return
        if self.refusal is not None:
            raise _refused(self.refusal, self.known["bolt12"])
        if not self.copies:
            raise self.no_route()
        raise TimedOutError(
            "the invoice was not paid in time, and no answer of the payer was heard",
            hint="ask the payer for a new request, or try this one again with --renew",
            data={"invstring": self.known["bolt12"]},
        )

    def no_route(self) -> NoRouteError:
        """The error for a payer that cannot be reached."""
        ends = self._router.dead_ends
        reasons = "; ".join(f"{end.target}: {end.reason}" for end in ends)
        return NoRouteError(
            f"no route to the payer ({reasons})",
            hint="connect your node to the payer, or to a node that it is connected to",
            data={"tried": [{"node": end.target, "reason": end.reason} for end in ends]},
        )

    def _show_route(self, route: Route) -> None:
        for end in self._router.dead_ends[self._dead_ends_shown :]:
            self._progress.step(f"Skipped {end.target}: {end.reason}")
        self._dead_ends_shown = len(self._router.dead_ends)

        def name(node: bytes) -> str:
            return self._graph.alias(node) or node.hex()[:16]

        self._progress.routed(lambda: ["us", *(name(node) for node in route.nodes[1:])])


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _answers(stored: Mapping[str, Any], invreq: InvoiceRequest) -> bool:
    """Whether a stored invoice was made for this request."""
    try:
        return invoice.answers(invoice.decode(stored.get("bolt12", "")), invreq)
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
            "it was not sent",
            hint="lightningd before v24.08 drops fields that it does not know: upgrade it",
        ) from None


def _refused(refusal: InvoiceError, bolt12: str) -> PayerError:
    """The error for what the payer said.

    :param bolt12: the invoice it is about, which payers like to repeat.
    """
    data: dict[str, Any] = {"error": refusal.text}
    about = ""
    if refusal.erroneous_field is not None:
        data["erroneous_field"] = refusal.erroneous_field
        about = f" (about {fields.field_name(refusal.erroneous_field)})"
    if refusal.suggested_value is not None:
        data["suggested_value"] = refusal.suggested_value.hex()
    text = refusal.text.replace(bolt12, "lni1…")
    return PayerError(f"the payer refused the invoice{about}: {text}", data=data)
