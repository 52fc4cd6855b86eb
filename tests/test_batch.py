"""Many requests at once, on a sandbox in this process: what needs a look inside."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from sendinvoice_cli import batch
from sendinvoice_cli.batch import Counts, Result, exit_status
from sendinvoice_cli.errors import (
    ExitStatus,
    LabelTakenError,
    SendInvoiceError,
    UnreachableError,
    UsageError,
)
from sendinvoice_cli.exchange import Exchange, Outcome
from sendinvoice_cli.node import replies
from sendinvoice_cli.node.client import Client
from sendinvoice_cli.node.replies import Reply, ReplySession
from sendinvoice_cli.pacing import SMALL, Link, Pacer
from sendinvoice_cli.render.progress import SilentProgress
from sendinvoice_cli.request import Request
from sendinvoice_cli.rows import Row
from sendinvoice_cli.sandbox.faults import CallFault
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology, line
from sendinvoice_cli.sandbox.sandbox import Sandbox
from tests.batches import check_books, crowd, lose_messages, wishes
from tests.networks import wait_for
from tests.schema import check_row

#: Alice pays, carol receives, and bob is between them.
Start = Callable[..., Sandbox]

#: As fast as it goes; only for a family that limits nothing, or for few messages.
NO_PACE = Pacer(interval=0)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts sandboxes, which end with the test."""
    with ExitStack() as running:

        def start_one(topology: Topology | None = None) -> Sandbox:
            return running.enter_context(Sandbox(topology))

        yield start_one


@pytest.fixture
def sandbox(start: Start) -> Sandbox:
    """One that limits messages."""
    return start()


@pytest.fixture
def fast(start: Start) -> Sandbox:
    """One that does not."""
    return start(line(family=Family.V24_02))


@dataclass
class Report:
    """What a batch tells."""

    results: list[Result] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    counted: list[Counts] = field(default_factory=list)
    #: Called with each result.
    on_result: Callable[[Result], None] = lambda _: None

    def result(self, result: Result) -> None:
        self.results.append(result)
        self.on_result(result)

    def counts(self, counts: Counts) -> None:
        self.counted.append(counts)

    def warn(self, text: str, hint: str | None = None) -> None:
        self.warnings.append(text)

    def for_row(self, row: Row) -> SilentProgress:
        return SilentProgress()

    def exits(self) -> dict[str | None, int]:
        """The exit code of each row, by label."""
        return {each.row.label: int(each.outcome.exit_status) for each in self.results}


def rows_of(requests: Iterable[Request]) -> Iterator[Row]:
    """A batch of these."""
    for number, request in enumerate(requests, start=1):
        yield Row(number, number, request, label=request.label)


def requests(sandbox: Sandbox, labels: Iterable[str], timeout: int = 90) -> list[Request]:
    """A request of alice's for each label, of 1 sat."""
    return [Request(sandbox.request("alice", 1000), label, timeout=timeout) for label in labels]


def run(
    sandbox: Sandbox,
    rows: Iterator[Row],
    report: Report,
    *,
    pacer: Pacer | None = None,
    no_replies: bool = True,
) -> ExitStatus:
    """Run a batch as carol."""
    client = Client(sandbox.rpc_file("carol"))
    return batch.run(rows, client, report, no_replies=no_replies, pacer=pacer)


def sent(sandbox: Sandbox) -> int:
    """How many messages have arrived at bob from carol."""
    return sandbox.log("bob").count("onion message from carol")


def too_many(sandbox: Sandbox) -> list[str]:
    """Messages that a node dropped because of its limit."""
    return [line for name in ("alice", "bob") for line in sandbox.log(name) if "too many" in line]


# --- how it ends ---


@pytest.mark.parametrize(
    ("paid", "failures", "status"),
    [
        (0, set(), ExitStatus.PAID),
        (3, set(), ExitStatus.PAID),
        (3, {ExitStatus.TIMED_OUT}, ExitStatus.PARTLY_PAID),
        (1, {ExitStatus.TIMED_OUT, ExitStatus.USAGE}, ExitStatus.PARTLY_PAID),
        (0, {ExitStatus.TIMED_OUT}, ExitStatus.TIMED_OUT),
        (0, {ExitStatus.USAGE}, ExitStatus.USAGE),
        (0, {ExitStatus.TIMED_OUT, ExitStatus.PAYER_ERROR}, ExitStatus.ERROR),
    ],
)
def test_exit_status(paid: int, failures: set[ExitStatus], status: ExitStatus) -> None:
    assert exit_status(paid, failures) is status


def test_a_result_tells_row_and_line() -> None:
    outcome = Outcome({"label": "x"}, LabelTakenError("taken"))
    assert Result(Row(2, 7, None, label="x"), outcome).as_json() == {
        "row": 2,
        "line": 7,
        "label": "x",
        "exit_code": 20,
        "error": {"code": 900, "message": "taken"},
    }


def test_rows_fail_one_by_one(sandbox: Sandbox) -> None:
    good = requests(sandbox, ["paid"])
    bad = UsageError("not a row")
    rows = [
        Row(1, 1, None, bad, "bad"),
        Row(2, 2, Request("lnr1qqqq", "malformed"), label="malformed"),
        Row(3, 3, good[0], label="paid"),
        Row(4, 4, Request(good[0].invreq, "\ud800"), label="\ud800"),
    ]
    report = Report()

    assert run(sandbox, iter(rows), report) is ExitStatus.PARTLY_PAID

    assert report.exits() == {"bad": 2, "malformed": 2, "paid": 0, "\ud800": 2}
    for result in report.results:
        check_row(result.as_json(), int(result.outcome.exit_status))
    assert report.counted[-1] == Counts(paid=1, failed=3, waiting=0, total=4)


def test_an_empty_batch_is_paid(sandbox: Sandbox) -> None:
    report = Report()
    assert run(sandbox, iter(()), report) is ExitStatus.PAID
    assert report.results == []


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(UsageError("not CSV"), UsageError), (RuntimeError("a fault"), SendInvoiceError)],
)
def test_rows_read_before_the_file_breaks_are_finished(
    sandbox: Sandbox, failure: Exception, raised: type[SendInvoiceError]
) -> None:
    def rows() -> Iterator[Row]:
        yield from rows_of(requests(sandbox, ["a", "b"]))
        raise failure

    report = Report()
    with pytest.raises(raised, match=str(failure)):
        run(sandbox, rows(), report)
    assert report.exits() == {"a": 0, "b": 0}


def test_no_lightningd(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        batch.run(iter(()), Client(tmp_path / "nothing"), Report())


def test_results_come_while_rows_still_arrive(sandbox: Sandbox) -> None:
    first_is_paid = threading.Event()
    arrived: list[bool] = []

    def rows() -> Iterator[Row]:
        one, two = rows_of(requests(sandbox, ["one", "two"]))
        yield one
        arrived.append(first_is_paid.wait(20))
        yield two

    report = Report(on_result=lambda _: first_is_paid.set())

    assert run(sandbox, rows(), report) is ExitStatus.PAID
    assert arrived == [True]
    assert [result.row.number for result in report.results] == [1, 2]


# --- resuming ---


def test_the_same_batch_again_sends_nothing(sandbox: Sandbox) -> None:
    rows = list(rows_of(requests(sandbox, "abc")))
    first, second = Report(), Report()
    assert run(sandbox, iter(rows), first) is ExitStatus.PAID
    before = sent(sandbox)

    assert run(sandbox, iter(rows), second) is ExitStatus.PAID

    assert sent(sandbox) == before == 3
    assert {each.row.label: each.outcome.known for each in second.results} == {
        each.row.label: each.outcome.known for each in first.results
    }


def test_the_same_row_twice_is_one_invoice(sandbox: Sandbox) -> None:
    (request,) = requests(sandbox, ["twice"])
    report = Report()

    assert run(sandbox, rows_of([request] * 3), report) is ExitStatus.PAID

    assert [each.row.number for each in report.results] == [1, 2, 3]
    hashes = {each.outcome.known["payment_hash"] for each in report.results}
    assert len(hashes) == 1
    assert len(sandbox.received_invoices("alice")) == 1


def test_another_request_with_the_same_label_fails(sandbox: Sandbox) -> None:
    one, other = requests(sandbox, ["same", "same"])
    less = Request(one.invreq, "same", amount_msat=1)
    report = Report()

    assert run(sandbox, rows_of([one, other, less]), report) is ExitStatus.PARTLY_PAID

    assert [int(each.outcome.exit_status) for each in report.results] == [0, 20, 20]


def test_paid_while_a_resumed_row_waits_for_its_turn(sandbox: Sandbox) -> None:
    """What happened before the invoice was followed is not missed, and nothing more is sent."""
    hold = sandbox.faults.hold_payments("alice")
    (request,) = requests(sandbox, ["resumed"])
    run(sandbox, rows_of([request]), Report(on_result=_ignore), pacer=_Interrupting(2))
    before = sent(sandbox)

    class Slow(Pacer):
        def reserve(self, links: Sequence[Link], now: float, size: int = SMALL) -> float:
            hold.release()
            sandbox.settle()
            return now + 0.5

    report = Report()
    assert run(sandbox, rows_of([request]), report, pacer=Slow()) is ExitStatus.PAID
    check_row(report.results[0].as_json(), 0)
    assert sent(sandbox) == before


def _ignore(_: Result) -> None:
    pass


class _Interrupting(Pacer):
    """Lets one message go, and interrupts the batch some time after it."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def reserve(self, links: Sequence[Link], now: float, size: int = SMALL) -> float:
        threading.Timer(self._seconds / 4, os.kill, (os.getpid(), signal.SIGINT)).start()
        return now


# --- sending ---


def test_no_node_has_to_drop_a_message(sandbox: Sandbox) -> None:
    report = Report()
    rows = rows_of(requests(sandbox, map(str, range(9))))

    assert run(sandbox, rows, report) is ExitStatus.PAID

    assert too_many(sandbox) == []
    assert sent(sandbox) == 9


def test_the_sandbox_does_drop_what_is_too_much(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above would hold of a sandbox without limits, too. Copies make up for it."""
    monkeypatch.setattr(batch, "COPY_INTERVALS", (0.6,))
    report = Report()
    rows = rows_of(requests(sandbox, map(str, range(9))))

    assert run(sandbox, rows, report, pacer=NO_PACE) is ExitStatus.PAID

    assert len(too_many(sandbox)) > 0
    assert sent(sandbox) >= 9


def test_copies_share_the_budget(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "COPY_INTERVALS", (0.3,))
    monkeypatch.setattr(batch, "LAST_COPY_BEFORE", 0)
    sandbox.faults.be_silent("alice")
    taken: list[float] = []

    class Counting(Pacer):
        def reserve(self, links: Sequence[Link], now: float, size: int = SMALL) -> float:
            taken.append(super().reserve(links, now, size))
            return taken[-1]

    report = Report()
    rows = rows_of(requests(sandbox, "abcd", timeout=3))
    assert run(sandbox, rows, report, pacer=Counting()) is ExitStatus.TIMED_OUT

    assert too_many(sandbox) == []
    assert 4 < sent(sandbox) <= len(taken)


def test_a_busy_way_holds_up_no_other(start: Start) -> None:
    """Payers behind different first hops: the second row of one waits, the other's does not."""
    shape = line(("alice", "bob", "carol"))
    other = line(("dave", "erin", "carol"))
    sandbox = start(Topology(shape.nodes + other.nodes[:2], shape.channels + other.channels))
    done: list[str | None] = []

    def on_result(result: Result) -> None:
        done.append(result.row.label)
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    rows = rows_of(
        Request(sandbox.request(payer, 1000), f"{payer}-{number}")
        for payer, number in (("alice", 1), ("alice", 2), ("alice", 3), ("dave", 1))
    )
    report = Report(on_result=on_result)
    status = run(sandbox, rows, report, pacer=Pacer(interval=3600, burst=1))

    assert status is ExitStatus.INTERRUPTED
    assert len(done) == 2
    # Which of alice's rows was first is left to the threads.
    assert {str(label).split("-")[0] for label in done} == {"alice", "dave"}
    # No invoice is made before it is its turn.
    assert len(sandbox.call("carol", "listinvoices")["invoices"]) == 2


def test_paid_while_a_copy_waits_for_its_turn(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "COPY_INTERVALS", (0.2,))
    hold = sandbox.faults.hold_payments("alice")
    turns: list[float] = []

    class SlowLater(Pacer):
        def turn(self, links: Sequence[Link], now: float, size: int = SMALL) -> float:
            return now + 60

        def reserve(self, links: Sequence[Link], now: float, size: int = SMALL) -> float:
            turns.append(now)
            if len(turns) == 1:
                return now
            threading.Timer(0.2, hold.release).start()
            return now + 60

    report = Report()
    started = time.monotonic()
    rows = rows_of(requests(sandbox, ["x"], timeout=300))
    assert run(sandbox, rows, report, pacer=SlowLater()) is ExitStatus.PAID
    assert time.monotonic() - started < 50
    assert (len(turns), sent(sandbox)) == (2, 1)


def test_no_copy_is_sent_that_would_be_too_late(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "COPY_INTERVALS", (0.2,))
    monkeypatch.setattr(batch, "LAST_COPY_BEFORE", 0)
    sandbox.faults.be_silent("alice")

    report = Report()
    rows = rows_of(requests(sandbox, ["x"], timeout=2))
    pacer = Pacer(interval=60, burst=1)
    assert run(sandbox, rows, report, pacer=pacer) is ExitStatus.TIMED_OUT
    assert sent(sandbox) == 1


# --- answers ---


def test_refusals_are_heard(sandbox: Sandbox) -> None:
    sandbox.faults.refuse("alice", "No, thank you")
    report = Report()
    rows = rows_of(requests(sandbox, "abc"))

    assert run(sandbox, rows, report, no_replies=False) is ExitStatus.PAYER_ERROR

    for result in report.results:
        assert "No, thank you" in result.as_json()["error"]["message"]
    assert report.warnings == []


def test_refusals_are_heard_after_a_quiet_time(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The helper has nothing to wait for any more, and says so: a later row listens again."""

    class Brief(ReplySession):
        listened = 0

        def listen(self) -> Iterator[Reply]:
            Brief.listened += 1
            return iter(()) if Brief.listened == 1 else super().listen()

    monkeypatch.setattr(batch, "ReplySession", Brief)
    sandbox.faults.refuse("alice", "No, thank you")
    report = Report()

    rows = rows_of(requests(sandbox, ["late"], timeout=30))
    assert run(sandbox, rows, report, no_replies=False) is ExitStatus.PAYER_ERROR
    assert Brief.listened >= 2


def test_without_a_helper_it_is_said_once(sandbox: Sandbox) -> None:
    sandbox.faults.refuse_plugins("carol", -3, "cannot run it")
    report = Report()

    rows = rows_of(requests(sandbox, "abc"))
    assert run(sandbox, rows, report, no_replies=False) is ExitStatus.PAID

    (warning,) = report.warnings
    assert "cannot be heard" in warning


def test_a_helper_that_ends_is_started_again(sandbox: Sandbox) -> None:
    sandbox.faults.refuse("alice", "No, thank you")
    rows = list(rows_of(requests(sandbox, "ab", timeout=30)))

    def stop_helper(result: Result) -> None:
        if result.row.number == 1:
            sandbox.call("carol", "plugin", subcommand="stop", plugin=replies.HELPER)
            stopped.set()

    stopped = threading.Event()

    def one_after_the_other() -> Iterator[Row]:
        yield rows[0]
        stopped.wait(20)
        yield rows[1]

    report = Report(on_result=stop_helper)
    status = run(sandbox, one_after_the_other(), report, no_replies=False)
    assert status is ExitStatus.PAYER_ERROR
    assert report.exits() == {"a": 14, "b": 14}


# --- one wait for all ---


class _Calls:
    """The calls to carol: how often each was made, and how many were open at once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.made: Counter[str] = Counter()
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        #: Most calls of all kinds. Each has a connection of its own.
        self.connections = 0
        sandbox.observe_calls(self._observe)

    def _observe(self, node: str, method: str, phase: str) -> None:
        if node != "carol":
            return
        self.open[method] += 1 if phase == "before" else -1
        self.most[method] = max(self.most[method], self.open[method])
        self.connections = max(self.connections, self.open.total())
        if phase == "before":
            self.made[method] += 1


def test_one_wait_and_few_sockets_for_all(fast: Sandbox) -> None:
    calls = _Calls(fast)
    hold = fast.faults.hold_payments("alice")

    def release(counts: Counts) -> None:
        if counts.waiting == 40:
            hold.release()

    report = Report()
    report.counts = release  # type: ignore[method-assign]
    rows = rows_of(requests(fast, map(str, range(40))))
    assert run(fast, rows, report, pacer=NO_PACE, no_replies=False) is ExitStatus.PAID

    assert calls.most["wait"] == 1
    assert calls.made["waitinvoice"] == 0
    assert calls.most["sendinvoice-replies"] == 1
    # Four threads, the feed, and the answers.
    assert 0 < calls.connections <= 6


@pytest.mark.parametrize("how", ["restart", "closed before", "closed after"])
def test_nothing_is_missed_while_the_connection_is_away(sandbox: Sandbox, how: str) -> None:
    hold = sandbox.faults.hold_payments("alice")
    happened: list[str] = []

    def disturb(counts: Counts) -> None:
        if counts.waiting < 3 or happened:
            return
        happened.append(how)
        threading.Thread(target=go, daemon=True).start()

    def go() -> None:
        wait_for(lambda: len(sandbox.received_invoices("alice")) == 3, "the invoices' arrival")
        if how == "restart":
            sandbox.stop_node("carol")
            sandbox.start_node("carol")
        else:
            fault = CallFault.CLOSE_BEFORE if how == "closed before" else CallFault.CLOSE_AFTER
            for method in ("wait", "listinvoices"):
                sandbox.faults.break_call("carol", method, fault)
        hold.release()

    report = Report()
    report.counts = disturb  # type: ignore[method-assign]
    rows = rows_of(requests(sandbox, "abc", timeout=60))
    assert run(sandbox, rows, report) is ExitStatus.PAID
    assert happened
    for result in report.results:
        check_row(result.as_json(), 0)


def test_a_call_that_breaks_costs_no_connection(fast: Sandbox) -> None:
    """lightningd is asked for again, and the feed that still works is left alone."""
    calls = _Calls(fast)
    fast.faults.break_call("carol", "createinvoice", CallFault.CLOSE_AFTER, times=5)
    report = Report()

    rows = rows_of(requests(fast, map(str, range(20))))
    assert run(fast, rows, report, pacer=NO_PACE, no_replies=False) is ExitStatus.PAID

    assert calls.most["wait"] == 1
    assert calls.connections <= 6
    assert len(fast.received_invoices("alice")) == 20


def test_lightningd_that_goes_again_while_it_is_regained(sandbox: Sandbox) -> None:
    """The helper is started once it is back, and finds it gone."""
    sandbox.faults.break_call("carol", "listinvoices", CallFault.CLOSE_BEFORE)
    stops: list[str] = []

    def stop_again(node: str, method: str, phase: str) -> None:
        if method == "sendinvoice-expect" and report.warnings and not stops:
            stops.append(method)
            sandbox.restart_node("carol")

    sandbox.observe_calls(stop_again)
    report = Report()
    rows = rows_of(requests(sandbox, "ab", timeout=60))
    assert run(sandbox, rows, report, no_replies=False) is ExitStatus.PAID
    assert stops


def test_peers_come_back_before_anything_is_sent(sandbox: Sandbox) -> None:
    """A lightningd that has just started has no peers yet, and knows no way."""
    restarted = threading.Event()
    looks: list[str] = []

    def note_look(node: str, method: str, phase: str) -> None:
        if (node, method, phase) == ("carol", "listpeers", "after"):
            looks.append(method)

    def restart_alone() -> None:
        sandbox.stop_node("bob")
        sandbox.stop_node("carol")
        wait_for(lambda: report.warnings, "the loss")
        sandbox.observe_calls(note_look)
        sandbox.start_node("carol")
        restarted.set()
        wait_for(lambda: len(looks) >= 3, "several looks at the peers")
        sandbox.start_node("bob")

    def rows() -> Iterator[Row]:
        one, *rest = rows_of(requests(sandbox, "abc"))
        yield one
        restarted.wait(20)
        yield from rest

    def on_result(result: Result) -> None:
        if result.row.number == 1:
            threading.Thread(target=restart_alone, daemon=True).start()

    report = Report(on_result=on_result)
    assert run(sandbox, rows(), report) is ExitStatus.PAID


def test_lightningd_that_stays_away(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "LAST_WORD_SECONDS", 0.5)
    sandbox.faults.be_silent("alice")

    def stop(counts: Counts) -> None:
        if counts.waiting == 1:
            threading.Thread(target=sandbox.stop_node, args=("carol",), daemon=True).start()

    report = Report()
    report.counts = stop  # type: ignore[method-assign]
    first, second = rows_of(requests(sandbox, ["sent", "unsent"], timeout=2))

    def rows() -> Iterator[Row]:
        yield first
        wait_for(lambda: report.warnings, "the loss")
        yield second

    assert run(sandbox, rows(), report) is ExitStatus.ERROR
    assert report.exits() == {"sent": 5, "unsent": 4}


@pytest.mark.parametrize("method", ["createinvoice", "createonion", "listinvoices"])
def test_a_call_that_lightningd_never_survives(sandbox: Sandbox, method: str) -> None:
    """The rows fail, each by itself, and the batch ends."""
    report = Report()
    rows = rows_of(requests(sandbox, "ab", timeout=20))

    def break_calls() -> Iterator[Row]:
        sandbox.faults.break_call("carol", method, CallFault.CLOSE_BEFORE, 10**6)
        yield from rows

    run(sandbox, break_calls(), report)
    assert set(report.exits()) == {"a", "b"}
    assert set(report.exits().values()) <= {4, 5}


def test_a_way_that_is_gone_when_the_turn_comes(start: Start) -> None:
    """Rows are looked at before their turn: the way found then may not be there any more."""
    names = ("alice", "bob", "bert", "carol")
    ends = (("alice", "bob"), ("alice", "bert"), ("bob", "carol"), ("bert", "carol"))
    sandbox = start(
        Topology(
            nodes=tuple(NodeSpec(name, has_address=False) for name in names),
            channels=tuple(ChannelSpec(*pair, capacity_msat=10**9) for pair in ends),
        )
    )

    def cut(result: Result) -> None:
        if len(report.results) == 3:
            used = max(("bob", "bert"), key=lambda name: sandbox.log(name).count(arrived))
            sandbox.disconnect(used, "carol")

    arrived = "onion message from carol"
    report = Report(on_result=cut)
    assert run(sandbox, rows_of(requests(sandbox, map(str, range(9)))), report) == ExitStatus.PAID


def test_slow_connections_hold_up_no_other(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    sandbox = start()
    look_for_routes = Exchange.look_for_routes

    def slowly(exchange: Exchange) -> None:
        if exchange.request.label.startswith("slow"):
            released.wait(30)
        look_for_routes(exchange)

    monkeypatch.setattr(Exchange, "look_for_routes", slowly)
    labels = ["a", "b", *(f"slow {at}" for at in range(batch.SEEKERS - 1))]

    def release(result: Result) -> None:
        if len(report.results) == 2:
            released.set()

    report = Report(on_result=release)
    assert run(sandbox, rows_of(requests(sandbox, labels)), report) is ExitStatus.PAID
    assert {result.row.label for result in report.results[:2]} == {"a", "b"}


@pytest.mark.parametrize("fault", ["restart", "freeze"])
def test_no_message_is_too_many_after_an_absence(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """What was due meanwhile does not go out at once."""
    transmit = Exchange.transmit
    rows = rows_of(requests(sandbox, map(str, range(12))))
    all_due = threading.Event()
    is_frozen = threading.Event()

    class Paced(Pacer):
        """Tells when the turn of the last row has come."""

        reserved = 0

        def reserve(self, links: Sequence[Link], now: float, size: int = SMALL) -> float:
            at = super().reserve(links, now, size)
            self.reserved += 1
            if self.reserved == 12:
                threading.Timer(at - now, all_due.set).start()
            return at

    def on_result(result: Result) -> None:
        if len(report.results) != 4:
            return
        if fault == "restart":
            threading.Thread(target=absent, daemon=True).start()
        else:
            is_frozen.set()

    def absent() -> None:
        sandbox.stop_node("carol")
        all_due.wait(20)
        sandbox.start_node("carol")

    def maybe_frozen(exchange: Exchange, replies: ReplySession | None) -> bool:
        if is_frozen.is_set():
            all_due.wait(20)
        return transmit(exchange, replies)

    monkeypatch.setattr(Exchange, "transmit", maybe_frozen)
    report = Report(on_result=on_result)
    assert run(sandbox, rows, report, pacer=Paced()) is ExitStatus.PAID
    assert all_due.is_set()
    assert too_many(sandbox) == []


# --- what it holds ---


def test_repeated_labels_are_read_as_they_are_needed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_REPEATED", 20)
    sandbox.faults.be_silent("alice")
    (request,) = requests(sandbox, ["same"], timeout=2)
    taken = 0

    def rows() -> Iterator[Row]:
        nonlocal taken
        for row in rows_of([request] * 150):
            taken += 1
            yield row

    counted = []

    def on_result(result: Result) -> None:
        counted.append(taken)

    report = Report(on_result=on_result)
    run(sandbox, rows(), report)
    assert len(report.results) == 150
    assert counted[0] <= 20 + batch.MAX_UNSENT + 3


def test_what_is_finished_is_let_go(fast: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_UNSENT", 20)
    sessions: list[ReplySession] = []
    alive: WeakSet[Exchange] = WeakSet()
    most = 0

    class Kept(ReplySession):
        def __init__(self, client: Client, until: float) -> None:
            super().__init__(client, until)
            sessions.append(self)

    class Counted(Exchange):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            alive.add(self)

    class Counting(Report):
        done = 0

        def result(self, result: Result) -> None:
            nonlocal most
            self.done += 1
            if self.done % 50 == 0:
                gc.collect()
                most = max(most, len(alive))

    monkeypatch.setattr(batch, "ReplySession", Kept)
    monkeypatch.setattr(batch, "Exchange", Counted)
    rows = rows_of(Request(fast.request("alice", 1000), str(number)) for number in range(200))
    report = Counting()
    assert run(fast, rows, report, pacer=NO_PACE, no_replies=False) is ExitStatus.PAID
    assert report.done == 200
    assert 0 < most < 100
    assert sessions[0]._path_ids == set()


# --- all at once ---


def test_everything_goes_wrong_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are lost, payers refuse, limits hold, and lightningd restarts meanwhile."""
    monkeypatch.setattr(batch, "COPY_INTERVALS", (1,))
    monkeypatch.setattr(batch, "LAST_COPY_BEFORE", 1)
    sandbox = start(crowd())
    rows = wishes(sandbox, 12)
    assert lose_messages(sandbox, 0.1, 100, seed=6) > 0

    def restart(result: Result) -> None:
        if len(report.results) == 5:
            threading.Thread(target=sandbox.restart_node, args=("receiver",), daemon=True).start()

    report = Report(on_result=restart)
    batch.run(
        rows_of(Request(each.invreq, each.label, timeout=10) for each in rows),
        Client(sandbox.rpc_file("receiver")),
        report,
    )

    assert len(report.results) == len(rows)
    check_books(sandbox, rows, {str(label): status for label, status in report.exits().items()})
    assert any("broke" in each or "cannot reach" in each for each in report.warnings)
