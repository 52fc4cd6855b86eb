"""A host with a clock by hand, and a lightningd from a table: no sandbox, no socket, no thread.

Calls take no time unless a test says so; waiting lets the time go by until the next thing that the
test has planned.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sendinvoice_cli.answering.blocking_host import run_blocking
from sendinvoice_cli.answering.exchange import Exchange
from sendinvoice_cli.answering.host import Early
from sendinvoice_cli.answering.order import answer
from sendinvoice_cli.answering.warnings import ProgressWithWarnings
from sendinvoice_cli.bolt12 import fields, invoice, tlv
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.errors import LightningdError, UnreachableError
from sendinvoice_cli.node.events.connection import Connection, News
from sendinvoice_cli.node.events.replies import Reply
from sendinvoice_cli.node.invoices import Change, StoredInvoice
from sendinvoice_cli.node.lightningd import Lightningd
from sendinvoice_cli.node.rpc.client import CALL_SECONDS, ConnectionLostError
from sendinvoice_cli.node.ways.routes import Route
from sendinvoice_cli.outcome import Outcome, Result
from sendinvoice_cli.reporting import Progress
from sendinvoice_cli.request import Request
from tests.networks.runs import Told
from tests.node import fake_client
from tests.node.fake_client import MESSAGES, FakeClient, Params
from tests.support.requests_builder import node_id, request_string, signed_invoice
from tests.support.schema import check_result

#: When everything begins, UNIX seconds.
START = 1_800_000_000
LABEL = "a label"
AMOUNT_MSAT = 100_000
#: Ours, the payer's, and that of a node between for a second way.
US, PAYER, ROUTER = 1, 2, 3
OUR_KEY = US.to_bytes(32, "big")
INVREQ = request_string({fields.INVREQ_PAYER_ID: node_id(PAYER)}, sign=False)
PREIMAGE = "5a" * 32

REFUSED = InvoiceError("too much", erroneous_field=170)
PAYING = InvoiceError("DuplicatePayment")
NOT_YET = InvoiceError("RouteNotFound")
UNCLEAR = InvoiceError("the moon is full")

_T = TypeVar("_T")


class FakeLightningd(FakeClient):
    """Our lightningd, with one peer, the payer. It signs, keeps and deletes invoices.

    Around each call, a test may have something happen: see ``before`` and ``after``.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        #: Our channels, as lightningd lists them.
        self.channels: list[dict[str, Any]] = [
            {
                "peer_id": node_id(PAYER).hex(),
                "peer_connected": True,
                "state": "CHANNELD_NORMAL",
                "short_channel_id": "1x1x1",
                "receivable_msat": 10 * AMOUNT_MSAT,
            }
        ]
        #: Invoices by label, as lightningd lists them.
        self.invoices: dict[str, dict[str, Any]] = {}
        #: The names of the calls, and what else a test wants to see among them.
        self.log: list[str] = []
        #: What happens when a method is called for the nth time (1 for the first), before it is
        #: carried out and before it is answered; it may raise.
        self.before: dict[tuple[str, int], Callable[[], None]] = {}
        self.after: dict[tuple[str, int], Callable[[], None]] = {}
        #: Raises for every call while lightningd is gone.
        self.is_gone = False
        #: Fields of an invoice that it changes before it signs it.
        self.changes: dict[int, bytes | None] = {}
        self.network = fake_client.Network(peers=[PAYER])
        super().__init__(
            {
                **self.network.answers(),
                "getinfo": {
                    "id": node_id(US).hex(),
                    "alias": "us",
                    "network": "bitcoin",
                    "version": "v26.06",
                    "blockheight": 100,
                    "our_features": {"node": MESSAGES},
                },
                "listconfigs": {"configs": {}},
                "help": {"help": [{"command": "injectonionmessage path_key message"}]},
                "listinvoices": self._list,
                "listpeerchannels": lambda _: {"channels": [dict(each) for each in self.channels]},
                "createinvoice": self._create,
                "delinvoice": self._delete,
                "createonion": {"onion": "00"},
                "injectonionmessage": {},
                "wait": {"updated": 0},
            }
        )

    def call(self, method: str, params: Params | None = None, **more: Any) -> dict[str, Any]:
        self.log.append(method)
        patience = self.patience[method] = more.get("patience", CALL_SECONDS)
        number = self.log.count(method)
        self.before.get((method, number), lambda: None)()
        if self.is_gone:
            raise UnreachableError("cannot reach lightningd")
        result = super().call(method, params, patience=patience)
        self.after.get((method, number), lambda: None)()
        return result

    def change(self, label: str = LABEL, **fields_: Any) -> Change:
        """Have an invoice changed, and return what lightningd tells of it then."""
        self.invoices[label].update(fields_, updated_index=1)
        return Change(label, StoredInvoice.read(self.invoices[label]))

    def pay(self, label: str = LABEL) -> Change:
        """Have an invoice paid."""
        return self.change(
            label,
            status="paid",
            pay_index=1,
            paid_at=int(self.now()),
            amount_received_msat=AMOUNT_MSAT,
            payment_preimage=PREIMAGE,
        )

    def _list(self, params: Params) -> Mapping[str, Any]:
        return {
            "invoices": [
                dict(each)
                for each in self.invoices.values()
                if all(each[name] == value for name, value in params.items())
            ]
        }

    def _create(self, params: Params) -> Mapping[str, Any]:
        label = params["label"]
        if label in self.invoices:
            raise LightningdError(
                "createinvoice: Duplicate label", rpc_code=900, data=self.invoices[label]
            )
        unsigned = invoice.decode(params["invstring"])
        values = dict(unsigned)
        relative_expiry = values.get(fields.INVOICE_RELATIVE_EXPIRY)
        self.invoices[label] = {
            "label": label,
            "bolt12": invoice.encode(signed_invoice(unsigned, self.changes, OUR_KEY)),
            "payment_hash": values[fields.INVOICE_PAYMENT_HASH].hex(),
            "amount_msat": tlv.decode_tu(values[fields.INVOICE_AMOUNT], 8, "amount"),
            "description": values[fields.OFFER_DESCRIPTION].decode(),
            "status": "unpaid",
            "created_index": 1,
            "expires_at": tlv.decode_tu(values[fields.INVOICE_CREATED_AT], 8, "created_at")
            + (
                invoice.DEFAULT_RELATIVE_EXPIRY
                if relative_expiry is None
                else tlv.decode_tu(relative_expiry, 4, "relative_expiry")
            ),
        }
        return self.invoices[label]

    def _delete(self, params: Params) -> Mapping[str, Any]:
        return self.invoices.pop(params["label"])


class ScriptedConnection(Connection):
    """A connection that does by the clock of the test what the real one does in threads."""

    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__(world.lightningd, self._refuse_news, world.told, clock=world.now)
        #: When each loss was noticed, in seconds from the start.
        self.lost_after: list[float] = []

    def _refuse_news(self, news: News) -> None:
        raise AssertionError("the real connection is at work")

    def lose(self, lost: UnreachableError, generation: int) -> None:
        world = self._world
        if generation != self.generation or not self.is_up:
            return
        self.is_up = False
        self.lost_at, self.loss = world.now(), lost
        self.lost_after.append(world.seconds)
        world.wake()
        world.after(world.away_seconds, self._return)

    def _return(self) -> None:
        world = self._world
        self.generation += 1
        self.is_up = True
        world.lightningd.is_gone = False
        world.peers_away(world.channels_seconds)
        world.wake()


class ScriptedReplies:
    """The reply helper, likewise."""

    def __init__(self, world: World) -> None:
        self._world = world
        #: Whether the helper hears replies once it is ready.
        self.hears = True
        self.is_settled = True

    def start(self, _until: float) -> None:
        self._world.lightningd.log.append("(helper starts)")
        self.is_settled = False

        def settle() -> None:
            self._world.lightningd.log.append("(helper is ready)")
            self.is_settled = True
            self._world.wake()

        self._world.after(self._world.helper_seconds, settle)

    def expect(self, _path_id: bytes, _until: float) -> bool:
        return self.is_settled and self.hears


@dataclass
class Search(Generic[_T]):
    """A search for a route, which ends at its time."""

    work: Callable[[], _T]
    result_: _T | None = None
    failure: Exception | None = None
    is_done: bool = False

    def run(self) -> None:
        """Come to an end."""
        try:
            self.result_ = self.work()
        except Exception as failure:
            self.failure = failure
        self.is_done = True

    def done(self) -> bool:
        """Whether it has ended."""
        return self.is_done

    def result(self) -> _T:
        """What it found."""
        if self.failure is not None:
            raise self.failure
        return self.result_  # type: ignore[return-value]


@dataclass
class World:
    """All that a test plans, and all that happens.

    :param away_seconds: how long a lightningd that is lost stays away.
    :param channels_seconds: from then until its channels are back.
    :param helper_seconds: that the reply helper takes to start.
    :param search_seconds: that each search for a route takes; the last goes on.
    :param turn_seconds: until the turn of each copy; the last goes on.
    :param progress: who is told instead of ``told``.
    """

    away_seconds: float = 1
    channels_seconds: float = 0
    helper_seconds: float = 0
    search_seconds: tuple[float, ...] = (0,)
    turn_seconds: tuple[float, ...] = (0,)
    progress: Progress | None = None
    told: Told = field(default_factory=Told)
    #: How early each attempt to send is, in seconds, before one is on time.
    early: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._now = float(START)
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.lightningd = FakeLightningd(self.now)
        self.connection = ScriptedConnection(self)
        self.replies = ScriptedReplies(self)
        node = Lightningd(self.lightningd, lambda _: None, self.told, clock=self.now)
        node.connection, node.replies = self.connection, self.replies  # type: ignore[assignment]
        self.node = node
        self.exchange: Exchange | None = None
        self.heard: list[Change | Reply] = []
        self.searches: list[Search[Any]] = []
        #: When each copy was sent, in seconds from the start.
        self.copies_at: list[float] = []
        self.routes: list[Route] = []
        self._is_awake = False
        #: Whether others were let go first.
        self.stepped_aside = False

    @property
    def followed(self) -> Exchange:
        """What is followed."""
        assert self.exchange is not None
        return self.exchange

    # --- the script ---

    def now(self) -> float:
        """UNIX seconds."""
        return self._now

    @property
    def seconds(self) -> float:
        """Seconds from the start."""
        return self._now - START

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something happen, so many seconds from the start."""
        heapq.heappush(self._planned, (START + seconds, next(self._order), action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something happen so many seconds from now; at once for 0, never for math.inf."""
        if seconds == 0:
            action()
        elif seconds != math.inf:
            self.at(self.seconds + seconds, action)

    def take(self, seconds: float) -> None:
        """The time goes by meanwhile, as in a call that takes long."""
        self._now += seconds

    def say(self, error: InvoiceError, copy: int = -1) -> None:
        """The payer's reply to a copy is heard."""
        self.heard.append(Reply(self.followed.copies.path_ids[copy], error))

    def says(self, error: InvoiceError, copy: int = -1) -> Callable[[], None]:
        """For a plan: the payer replies to a copy, by default the last one by then."""
        return lambda: self.say(error, copy)

    def pay(self) -> None:
        """The invoice is paid, and that is heard."""
        self.heard.append(self.lightningd.pay())

    def pay_unheard(self) -> None:
        """The invoice is paid, and nobody tells."""
        self.lightningd.pay()

    def expire(self) -> None:
        """The invoice expires, and that is heard."""
        self.heard.append(self.lightningd.change(status="expired"))

    def go_away(self) -> None:
        """lightningd is gone, and that is noticed."""
        self.lightningd.is_gone = True
        self.connection.lose(UnreachableError("lightningd is gone"), self.connection.generation)

    def peers_away(self, seconds: float) -> None:
        """Have the peers of our channels disconnected for so long."""

        def connect(is_connected: bool) -> None:
            for channel in self.lightningd.channels:
                channel["peer_connected"] = is_connected

        connect(False)
        self.after(seconds, lambda: connect(True))

    def break_connection(self) -> None:
        """For a plan around a call: the connection breaks inside of it."""
        raise ConnectionLostError("the connection to lightningd broke")

    # --- the run ---

    def run(self, *, timeout: int = 90, invreq: str = INVREQ, **more: Any) -> Outcome:
        """Answer a request; the result must be what the schema describes."""
        request = Request(invreq, LABEL, timeout=timeout, **more)
        outcome = run_blocking(answer(request, ScriptedHost(self)))
        check_result(Result(1, 1, outcome).as_json(), outcome.exit_status)
        return outcome

    def wake(self) -> None:
        """Something was heard: whoever waits, or waits next, looks at what has changed."""
        self._is_awake = True

    def wait(self, until: float) -> None:
        """Let the time go by until then, or until something planned has happened."""
        if self._is_awake:
            self._is_awake = False
            return
        if self._planned and self._planned[0][0] <= until:
            at, _, action = heapq.heappop(self._planned)
            self._now = max(self._now, at)
            action()
            self._is_awake = False
            return
        assert until != math.inf, f"it waits for ever: {self.lightningd.log}"
        self._now = max(self._now, until)


class ScriptedHost:
    """The host of a scripted world."""

    def __init__(self, world: World) -> None:
        self.lightningd = world.node
        self.progress = ProgressWithWarnings(world.progress or world.told)
        self.ways = 1
        self._world = world
        self._follows_changes = False

    def now(self) -> float:
        return self._world.now()

    async def call(self, step: Callable[[], _T]) -> _T:
        return step()

    def begin(self, step: Callable[[], _T]) -> Search[_T]:
        job = Search(step)
        job.run()
        return job

    def search(self, work: Callable[[], _T], *, may_connect: bool) -> Search[_T]:
        world = self._world
        search = Search(work)
        times = world.search_seconds

        def end() -> None:
            search.run()
            world.wake()

        world.after(times[min(len(world.searches), len(times) - 1)], end)
        world.searches.append(search)
        return search

    async def wait(self, until: float) -> None:
        self._world.wait(until)

    def take_events(self) -> list[Change | Reply]:
        heard, self._world.heard = self._world.heard, []
        return heard

    def step_aside(self) -> None:
        self._world.stepped_aside = True

    def take_turn(self, route: Route, _size: int, before: float) -> tuple[Route, float] | None:
        world = self._world
        times = world.turn_seconds
        at = self.now() + times[min(len(world.routes), len(times) - 1)]
        if at >= before:
            return None
        world.routes.append(route)
        return route, at

    def send(self, _route: Route, _size: int, transmit: Callable[[], bool]) -> Search[bool | Early]:
        world = self._world

        def hand_over() -> bool | Early:
            if world.early:
                return Early(world.early.pop())
            is_sent = transmit()
            if is_sent:
                world.copies_at.append(world.seconds)
            return is_sent

        return self.begin(hand_over)

    def prepare(self) -> Search[None]:
        return self.begin(self._follow_changes)

    def _follow_changes(self) -> None:
        if not self._follows_changes:
            self._world.lightningd.call("wait")
            self._follows_changes = True

    def follow(self, exchange: Exchange) -> None:
        self._world.exchange = exchange

    def settled(self) -> None:
        """No signal comes."""
