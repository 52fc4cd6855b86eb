"""What is heard ends a single send and a batch of one row alike: over answers from a table."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from sendinvoice_cli.answering.blocking_host import send
from sendinvoice_cli.batch.batch import Batch, Limits
from sendinvoice_cli.batch.pacing import Pacer
from sendinvoice_cli.batch.rows import Row
from sendinvoice_cli.bolt12 import invoice_error
from sendinvoice_cli.errors import (
    ExitStatus,
    InterruptedBySignalError,
    LightningdError,
    TerminatedBySignalError,
    UnreachableError,
)
from sendinvoice_cli.outcome import Counts, Outcome, Result
from sendinvoice_cli.reporting import Progress
from sendinvoice_cli.request import Request
from tests.networks.runs import Told
from tests.node.fake_client import Params
from tests.support.requests_builder import node_id
from tests.support.scripted import INVREQ, LABEL, PAYER, REFUSED, UNCLEAR, FakeLightningd

#: Seconds that nothing here takes.
_LONG = 20

#: Offered by a peer at which a blinded path can begin.
MESSAGES_AND_BLINDING = (1 << 39 | 1 << 25).to_bytes(5, "big").hex()


class Lightningd(FakeLightningd):
    """One that holds the calls that wait for something, until it happens or the test ends."""

    def __init__(self) -> None:
        super().__init__(time.time)
        self._changed = threading.Condition()
        self.has_ended = False
        self.updated = 0
        self.deleted = 0
        self.replies: list[dict[str, str]] = []
        #: How many replies the listener is known to have.
        self.received = 0
        self.answers.update(
            {
                "wait": self._wait,
                "waitinvoice": self._wait_invoice,
                "sendinvoice-expect": {},
                "sendinvoice-replies": self._replies,
            }
        )

    def happen(self, action: Callable[[], object]) -> None:
        """Have something happen that a held call may tell of."""
        with self._changed:
            action()
            self._changed.notify_all()

    def hold(self, until: Callable[[], object]) -> None:
        """Hold a call."""
        with self._changed:
            assert self._changed.wait_for(lambda: until() or self.has_ended, _LONG)
        if self.has_ended:
            raise UnreachableError("the test is over")

    def delete(self) -> None:
        """Somebody deletes the invoice."""
        del self.invoices[LABEL]
        self.deleted += 1

    def be_paid(self) -> None:
        """The payer pays the invoice."""
        self.updated += 1
        self.pay()
        self.invoices[LABEL]["updated_index"] = self.updated

    def expire_unheard(self) -> None:
        """The invoice will have expired when it is next looked at."""
        self.change(status="expired")

    def reply_to_last_copy(self, error: invoice_error.InvoiceError) -> None:
        """The payer replies to the copy that is being sent, and the command has heard it."""
        params = [params for method, params in self.calls if method == "sendinvoice-expect"][-1]
        reply = {
            "pathsecret": params["pathsecrets"][-1],
            "invoice_error": invoice_error.encode(error).hex(),
        }
        self.happen(lambda: self.replies.append(reply))
        self.hold(lambda: self.received == len(self.replies))

    def _wait(self, params: Params) -> dict[str, Any]:
        name, wanted = params["indexname"], params["nextvalue"]
        if name == "updated":
            self.hold(lambda: self.updated >= wanted)
            return {"updated": self.updated}
        self.hold(lambda: self.deleted >= wanted)
        return {"deleted": self.deleted, "invoices": {"label": LABEL}}

    def _wait_invoice(self, _params: Params) -> dict[str, Any]:
        self.hold(lambda: self.updated or LABEL not in self.invoices)
        if self.updated:
            return self.invoices[LABEL]
        raise LightningdError("waitinvoice: deleted", rpc_code=903)

    def _list(self, params: Params) -> Mapping[str, Any]:
        if "index" in params:
            return {"invoices": [self.invoices[LABEL]]}
        return super()._list(params)

    def _replies(self, params: Params) -> dict[str, Any]:
        received = params["received"]

        def note() -> None:
            self.received = received

        self.happen(note)
        self.hold(lambda: len(self.replies) > received)
        return {"replies": self.replies[received:], "received": len(self.replies)}


@dataclass
class Report(Told):
    """What a batch tells."""

    results: list[Result] = field(default_factory=list)

    def result(self, result: Result) -> None:
        self.results.append(result)

    def counts(self, counts: Counts) -> None:
        """Not of interest here."""

    def for_row(self, number: int) -> Progress:
        return self


def send_single(lightningd: Lightningd, request: Request) -> Outcome:
    return send(request, lightningd, Told())


def send_batch(lightningd: Lightningd, request: Request) -> Outcome:
    report = Report()

    async def run() -> ExitStatus:
        batch = Batch(lightningd, report, pacer=Pacer(interval=0))
        return await batch.run(iter([Row(1, 1, request, label=LABEL)]))

    asyncio.run(run())
    (result,) = report.results
    return result.outcome


Send = Callable[[Lightningd, Request], Outcome]
#: A failing test is over soon.
SHORT = Request(INVREQ, LABEL, timeout=2)
#: The helper is told of the end of a long one only.
LONG = Request(INVREQ, LABEL, timeout=5000)

EITHER = pytest.mark.parametrize("answer", [send_single, send_batch], ids=["single", "batch"])


@pytest.fixture
def lightningd() -> Iterator[Lightningd]:
    """One that lets its calls go when the test is over; signals are handled as before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    found = Lightningd()

    def end() -> None:
        found.has_ended = True

    yield found
    found.happen(end)
    for number, handler in before.items():
        signal.signal(number, handler)


@EITHER
@pytest.mark.parametrize("error", [REFUSED, UNCLEAR])
def test_refusal_that_is_heard_before_the_call_that_sent_the_copy_has_returned_counts(
    answer: Send, lightningd: Lightningd, error: invoice_error.InvoiceError
) -> None:
    """A row of a batch dropped it, and exited with 15 at its deadline instead of 14."""
    lightningd.before["injectonionmessage", 1] = lambda: lightningd.reply_to_last_copy(error)
    outcome = answer(lightningd, SHORT)
    assert outcome.exit_status is ExitStatus.PAYER_ERROR
    assert lightningd.log.count("injectonionmessage") == 1


@EITHER
@pytest.mark.parametrize("ends", [Lightningd.be_paid, Lightningd.expire_unheard])
def test_call_that_sends_and_hangs_holds_up_neither_a_payment_nor_the_deadline(
    answer: Send, lightningd: Lightningd, ends: Callable[[Lightningd], None]
) -> None:
    """It did until lightningd counted as gone, 30 s later."""
    late: list[str] = []

    def hang() -> None:
        lightningd.happen(lambda: ends(lightningd))
        try:
            lightningd.hold(lambda: False)
        except AssertionError:
            late.append("the call")
            raise

    lightningd.after["injectonionmessage", 1] = hang
    is_paid = ends is Lightningd.be_paid
    outcome = answer(lightningd, LONG if is_paid else SHORT)
    assert outcome.exit_status is (ExitStatus.PAID if is_paid else ExitStatus.TIMED_OUT)
    assert late == []


@pytest.mark.parametrize(
    ("answer", "method"),
    [(send_single, "makesecret"), (send_batch, "makesecret"), (send_batch, "wait")],
)
def test_call_that_hangs_before_the_invoice_exists_does_not_hold_up_the_deadline(
    answer: Send, lightningd: Lightningd, method: str
) -> None:
    """It did until lightningd counted as gone, after 30 s."""
    # Our channel is not announced, so the payment path begins at our peer.
    peer = {"id": node_id(PAYER).hex(), "connected": True, "features": MESSAGES_AND_BLINDING}
    terms = {"fee_base_msat": 1, "fee_proportional_millionths": 1, "cltv_expiry_delta": 34}
    terms |= {"htlc_minimum_msat": 0, "htlc_maximum_msat": 10**9}
    lightningd.channels[0] |= {"private": True, "updates": {"remote": terms}}
    lightningd.answers |= {"listpeers": {"peers": [peer]}, "listnodes": {"nodes": []}}
    held: list[str] = []

    def hang() -> None:
        held.append(method)
        lightningd.hold(lambda: False)

    lightningd.before[method, 1] = hang
    outcome = answer(lightningd, SHORT)
    assert outcome.exit_status is ExitStatus.UNREACHABLE
    assert outcome.error is not None
    assert "did not answer before TIMEOUT" in outcome.error.message
    assert held == [method]
    assert lightningd.invoices == {}


def test_route_is_told_although_the_payment_was_heard_before_the_call_returned(
    lightningd: Lightningd,
) -> None:
    """The table lacked it when the payer was fast."""

    def hang() -> None:
        lightningd.happen(lightningd.be_paid)
        with suppress(AssertionError):
            lightningd.hold(lambda: False)

    lightningd.after["injectonionmessage", 1] = hang
    told = Told()
    assert send(LONG, lightningd, told).exit_status is ExitStatus.PAID
    assert told.steps[-1] == "us → node 2"


@EITHER
def test_invoice_that_is_deleted_ends_the_wait_at_once(
    answer: Send, lightningd: Lightningd
) -> None:
    """A row of a batch went on until its deadline, and sent 4 copies."""
    lightningd.after["injectonionmessage", 1] = lambda: lightningd.happen(lightningd.delete)
    outcome = answer(lightningd, SHORT)
    assert outcome.exit_status is ExitStatus.ERROR
    assert outcome.error is not None
    assert "was deleted" in outcome.error.message
    assert lightningd.log.count("injectonionmessage") == 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (InterruptedBySignalError, ExitStatus.INTERRUPTED),
        (TerminatedBySignalError, ExitStatus.TERMINATED),
    ],
)
def test_interrupted_batch_ends_its_session_in_the_helper(
    lightningd: Lightningd, kind: type[InterruptedBySignalError], status: ExitStatus
) -> None:
    """It stayed for the longest TIMEOUT, and enough of them exhausted the helper."""
    report = Report()

    async def run() -> ExitStatus:
        loop = asyncio.get_running_loop()
        batch = Batch(lightningd, report, pacer=Pacer(interval=0))

        def interrupt() -> None:
            loop.call_soon_threadsafe(batch.interrupt, kind("interrupted"))

        lightningd.after["injectonionmessage", 1] = interrupt
        return await batch.run(iter([Row(1, 1, LONG, label=LABEL)]))

    before = time.time()
    assert asyncio.run(run()) is status
    (result,) = report.results
    assert result.outcome.exit_status is status
    last = [params for method, params in lightningd.calls if method == "sendinvoice-expect"][-1]
    assert before <= last["until"] <= time.time()


def test_signal_after_the_last_row_has_ended_does_not_change_the_status(
    lightningd: Lightningd,
) -> None:
    """A batch that was paid whole exited with 130 and told of rows without a result."""
    report = Report()
    ended: list[float] = []

    async def run() -> ExitStatus:
        loop = asyncio.get_running_loop()
        batch = Batch(lightningd, report, pacer=Pacer(interval=0))

        def expect(params: Params) -> dict[str, Any]:
            if params["until"] <= time.time():
                ended.append(params["until"])
                loop.call_soon_threadsafe(batch.interrupt, InterruptedBySignalError("interrupted"))
            return {}

        lightningd.answers["sendinvoice-expect"] = expect
        lightningd.after["injectonionmessage", 1] = lambda: lightningd.happen(lightningd.be_paid)
        return await batch.run(iter([Row(1, 1, LONG, label=LABEL)]))

    assert asyncio.run(run()) is ExitStatus.PAID
    assert len(ended) == 1
    assert report.warnings == []


def test_interrupted_batch_does_not_wait_for_calls_that_hang(lightningd: Lightningd) -> None:
    ended: list[str] = []

    async def run() -> ExitStatus:
        loop = asyncio.get_running_loop()
        batch = Batch(lightningd, Report(), pacer=Pacer(interval=0), limits=Limits(threads=1))

        def hang() -> None:
            loop.call_soon_threadsafe(batch.interrupt, InterruptedBySignalError("interrupted"))
            try:
                lightningd.hold(lambda: False)
            finally:
                ended.append("the call")

        lightningd.before["injectonionmessage", 1] = hang
        return await batch.run(iter([Row(1, 1, LONG, label=LABEL)]))

    assert asyncio.run(run()) is ExitStatus.INTERRUPTED
    assert ended == []


def test_feed_that_lightningd_refuses_once_is_asked_for_again(lightningd: Lightningd) -> None:
    """The row ended with 1, and its invoice was never sent."""

    def refuse() -> None:
        raise LightningdError("wait: not now", rpc_code=-32603)

    lightningd.before["wait", 1] = refuse
    lightningd.after["injectonionmessage", 1] = lambda: lightningd.happen(lightningd.delete)
    outcome = send_batch(lightningd, SHORT)
    assert lightningd.log.count("injectonionmessage") == 1
    assert outcome.error is not None
    assert "was deleted" in outcome.error.message
