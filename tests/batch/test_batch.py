"""Many requests at once, in a sandbox where time stands still: what rows share."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from weakref import WeakSet

import pytest

from sendinvoice_cli.batch.batch import Limits, exit_status
from sendinvoice_cli.batch.pacing import INTERVAL, SMALL, Pacer, PeerLink
from sendinvoice_cli.batch.rows import Row
from sendinvoice_cli.errors import (
    ExitStatus,
    LabelTakenError,
    SendInvoiceError,
    UsageError,
)
from sendinvoice_cli.node.events.reply_plugin import EXPECT
from sendinvoice_cli.outcome import Counts, Outcome, Result
from sendinvoice_cli.render.progress import PlainProgress
from sendinvoice_cli.request import Request
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology
from tests.networks import simulated, timed
from tests.networks.faults import CallFault
from tests.networks.runs import Told
from tests.networks.timed import PAYER, RECEIVER, ROUTER, BatchRun, TimedNetwork, wait_for
from tests.support.batches import check_books, crowd, lose_messages, wishes
from tests.support.schema import check_row

#: Brings up sandboxes, by ``timed.network``'s parameters.
Launch = Callable[..., TimedNetwork]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Sandboxes end with the test."""
    with ExitStack() as running:
        yield lambda *args: running.enter_context(timed.network(*args))


@pytest.fixture
def still(launch: Launch) -> TimedNetwork:
    """One that limits messages."""
    return launch()


@pytest.fixture
def fast(launch: Launch) -> TimedNetwork:
    """One that does not."""
    return launch(Family.V24_02)


def rows_of(requests: Iterable[Request]) -> list[Row]:
    """A batch of these."""
    return [
        Row(number, number, request, label=request.label)
        for number, request in enumerate(requests, start=1)
    ]


def rows(still: TimedNetwork, labels: Iterable[object], timeout: int = 90) -> list[Row]:
    """A request of the payer's for each label, of 1 sat."""
    return rows_of(
        Request(still.sandbox.request(PAYER, 1000), str(label), timeout=timeout) for label in labels
    )


def fork(*leaves: str) -> Topology:
    """Payers who each reach the receiver over a router of their own, and nobody else."""
    pairs = [(leaf, f"{leaf}'s router") for leaf in leaves]
    names = [*(name for pair in pairs for name in pair), RECEIVER]
    return Topology(
        tuple(NodeSpec(name, has_address=False) for name in names),
        tuple(
            ChannelSpec(*pair)
            for leaf, router in pairs
            for pair in ((leaf, router), (router, RECEIVER))
        ),
    )


def no_pace() -> Pacer:
    """As fast as it goes."""
    return Pacer(interval=0)


def sent(batch: BatchRun) -> int:
    """How many messages lightningd was given."""
    return len(batch.client.made("injectonionmessage"))


def too_many(still: TimedNetwork) -> list[str]:
    """Messages that a node dropped because of its limit."""
    return [
        line for name in (PAYER, ROUTER) for line in still.sandbox.log(name) if "too many" in line
    ]


# --- how it ends ---


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([], ExitStatus.PAID),
        ([ExitStatus.PAID] * 3, ExitStatus.PAID),
        ([ExitStatus.PAID, ExitStatus.TIMED_OUT], ExitStatus.PARTLY_PAID),
        ([ExitStatus.TIMED_OUT, ExitStatus.PAID, ExitStatus.USAGE], ExitStatus.PARTLY_PAID),
        ([ExitStatus.TIMED_OUT] * 2, ExitStatus.TIMED_OUT),
        ([ExitStatus.USAGE], ExitStatus.USAGE),
        ([ExitStatus.TIMED_OUT, ExitStatus.PAYER_ERROR], ExitStatus.ERROR),
    ],
)
def test_exit_status(rows: list[ExitStatus], status: ExitStatus) -> None:
    assert exit_status(rows) is status


def test_a_result_tells_row_and_line() -> None:
    outcome = Outcome({"label": "x"}, LabelTakenError("taken"), 0)
    shown = Result(2, 7, outcome).as_json()
    assert (shown.pop("row"), shown.pop("line")) == (2, 7)
    assert shown == outcome.as_json()


def test_rows_fail_one_by_one(still: TimedNetwork) -> None:
    (good,) = rows(still, ["paid"])
    assert good.request is not None
    batch = still.run_batch(
        [
            Row(1, 1, None, UsageError("not a row"), "bad"),
            Row(2, 2, Request("lnr1qqqq", "malformed"), label="malformed"),
            Row(3, 3, good.request, label="paid"),
            Row(4, 4, Request(good.request.invreq, "\ud800"), label="\ud800"),
        ]
    )
    batch.end()

    assert batch.status is ExitStatus.PARTLY_PAID
    assert batch.exits() == {"bad": 2, "malformed": 2, "paid": 0, "\ud800": 2}
    for result in batch.results:
        check_row(result.as_json(), int(result.outcome.exit_status))
    assert batch.counts == Counts(paid=1, failed=3, waiting=0, total=4)


def test_an_empty_batch_is_paid(still: TimedNetwork) -> None:
    batch = still.run_batch([])
    batch.end()
    assert (batch.status, batch.results) == (ExitStatus.PAID, [])


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(UsageError("not CSV"), UsageError), (RuntimeError("a fault"), SendInvoiceError)],
)
def test_rows_read_before_the_file_breaks_are_finished(
    still: TimedNetwork, failure: Exception, raised: type[SendInvoiceError]
) -> None:
    def broken() -> Iterator[Row]:
        yield from rows(still, "ab")
        raise failure

    batch = still.run_batch(broken())
    batch.end()
    assert isinstance(batch.error, raised)
    assert str(failure) in batch.error.message
    assert batch.exits() == {"a": 0, "b": 0}


def test_each_row_says_that_lightningd_cannot_be_reached(still: TimedNetwork) -> None:
    still.sandbox.stop_node(RECEIVER)
    batch = still.run_batch(rows(still, "abc"))
    batch.end()
    assert batch.status is ExitStatus.UNREACHABLE
    assert batch.exits() == {"a": 4, "b": 4, "c": 4}


def test_results_come_while_rows_still_arrive(still: TimedNetwork) -> None:
    batches: list[BatchRun] = []

    def arriving() -> Iterator[Row]:
        one, two = rows(still, ["one", "two"])
        yield one
        wait_for(lambda: batches and batches[0].results, "the first result")
        yield two

    batches.append(still.run_batch(arriving()))
    batches[0].end()
    assert [result.row for result in batches[0].results] == [1, 2]


def test_the_same_row_twice_is_one_invoice(still: TimedNetwork) -> None:
    (row,) = rows(still, ["twice"])
    assert row.request is not None
    batch = still.run_batch(rows_of([row.request] * 3))
    batch.end()

    assert batch.status is ExitStatus.PAID
    assert [each.row for each in batch.results] == [1, 2, 3]
    assert len({each.outcome.known["payment_hash"] for each in batch.results}) == 1
    assert still.arrived() == 1


# --- turns ---


def test_no_node_has_to_drop_a_message(still: TimedNetwork) -> None:
    batch = still.run_batch(rows(still, range(9)))
    batch.end_in_time()

    assert batch.status is ExitStatus.PAID
    assert too_many(still) == []
    assert sent(batch) == 9


def test_the_sandbox_does_drop_what_is_too_much(still: TimedNetwork) -> None:
    """The test above would hold of a sandbox without limits, too. Copies make up for it."""
    batch = still.run_batch(rows(still, range(9)), pacer=no_pace())
    batch.end_in_time()

    assert batch.status is ExitStatus.PAID
    assert too_many(still)
    assert sent(batch) > 9


def test_copies_share_the_budget(still: TimedNetwork) -> None:
    still.sandbox.faults.be_silent(PAYER)
    batch = still.run_batch(rows(still, range(12), timeout=30))
    batch.end_in_time()

    assert batch.status is ExitStatus.TIMED_OUT
    assert too_many(still) == []
    assert sent(batch) > 12


@pytest.mark.parametrize("is_paced", [True, False])
def test_lnd_on_the_way(launch: Launch, is_paced: bool) -> None:
    """It counts bytes, and is known by its features; twelve large onions exceed its burst."""
    nodes = (NodeSpec(PAYER), NodeSpec(ROUTER, is_lnd=True), NodeSpec(RECEIVER))
    channels = (ChannelSpec(PAYER, ROUTER), ChannelSpec(ROUTER, RECEIVER))
    still = launch(Family.V26_06, Topology(nodes, channels))
    requests = [
        Request(still.sandbox.request(PAYER, 1000, "so long " * 100), str(number))
        for number in range(12)
    ]
    batch = still.run_batch(rows_of(requests), **({} if is_paced else {"pacer": no_pace()}))
    batch.end_in_time()

    assert batch.status is ExitStatus.PAID
    assert bool(too_many(still)) is not is_paced
    assert (sent(batch) > 12) is not is_paced


def test_rows_take_turns_between_two_ways(launch: Launch) -> None:
    """Two routers take twice as many messages as one."""
    names = (PAYER, "bob", "bert", RECEIVER)
    ends = ((PAYER, "bob"), (PAYER, "bert"), ("bob", RECEIVER), ("bert", RECEIVER))
    still = launch(
        Family.V26_06,
        # A payer with an address needs no invreq_paths, which would begin at one of the two.
        Topology(tuple(map(NodeSpec, names)), tuple(ChannelSpec(*pair) for pair in ends)),
    )
    batch = still.run_batch(rows(still, range(20)))
    batch.end_in_time()

    assert batch.status is ExitStatus.PAID
    assert sent(batch) == 20
    taken = {
        name: still.sandbox.log(name).count(f"onion message from {RECEIVER}")
        for name in ("bob", "bert")
    }
    assert taken == {"bob": 10, "bert": 10}


def test_a_busy_way_holds_up_no_other(launch: Launch) -> None:
    """Payers behind different first hops: the second row of one waits, the other's does not."""
    still = launch(Family.V26_06, fork("alice", "dave"))
    requests = [
        Request(still.sandbox.request(payer, 1000), f"{payer} {number}")
        for payer, number in (("alice", 1), ("alice", 2), ("alice", 3), ("dave", 1))
    ]
    batch = still.run_batch(rows_of(requests), pacer=Pacer(interval=3600, burst=1))
    wait_for(lambda: len(batch.results) == 2 and batch.is_waiting, "two results")

    # Which of alice's rows was first is left to the threads.
    assert {label.split()[0] for label in batch.exits()} == {"alice", "dave"}
    # No invoice is made before it is its turn: its time would be over.
    assert len(still.invoices()) == 2
    batch.end_in_time()
    assert batch.status is ExitStatus.PAID


def test_paid_while_a_resumed_row_waits_for_its_turn(still: TimedNetwork) -> None:
    """What happened before the invoice was followed is not missed, and nothing more is sent."""

    class Slow(Pacer):
        def turn(self, links: Sequence[PeerLink], now: float, size: int = SMALL) -> float:
            return now + 5

    hold = still.sandbox.faults.hold_payments(PAYER)
    (row,) = rows(still, ["resumed"])
    assert row.request is not None
    still.run(row.request.invreq, label="resumed")
    still.await_arrival(1)

    batch = still.run_batch([row], pacer=Slow())
    wait_for(lambda: batch.is_waiting, "the turn to be waited for")
    hold.release()
    batch.end()

    check_row(batch.results[0].as_json(), 0)
    assert sent(batch) == 0


def test_paid_while_a_copy_waits_for_its_turn(still: TimedNetwork) -> None:
    hold = still.sandbox.faults.hold_payments(PAYER)
    batch = still.run_batch(rows(still, "x", timeout=300), pacer=Pacer(interval=60, burst=1))
    still.await_arrival(1)
    batch.skip_wait()
    wait_for(lambda: batch.is_waiting, "the copy's turn to be waited for")
    hold.release()
    batch.end()

    assert batch.exits() == {"x": 0}
    assert sent(batch) == 1


def test_no_copy_is_sent_that_would_be_too_late(still: TimedNetwork) -> None:
    still.sandbox.faults.be_silent(PAYER)
    batch = still.run_batch(rows(still, "x", timeout=50), pacer=Pacer(interval=60, burst=1))
    batch.end_in_time()

    assert batch.exits() == {"x": 15}
    assert sent(batch) == 1


def test_a_way_that_is_gone_when_the_turn_comes(launch: Launch) -> None:
    """Rows are prepared before their turn: the way found then may not be there any more."""
    names = (PAYER, "bob", "bert", RECEIVER)
    ends = ((PAYER, "bob"), (PAYER, "bert"), ("bob", RECEIVER), ("bert", RECEIVER))
    still = launch(
        Family.V26_06,
        Topology(
            tuple(NodeSpec(name, has_address=False) for name in names),
            tuple(ChannelSpec(*pair) for pair in ends),
        ),
    )
    batch = still.run_batch(rows(still, range(9)))
    wait_for(lambda: len(batch.results) >= 3 and batch.is_waiting, "some results")
    used = max(
        ("bob", "bert"),
        key=lambda name: still.sandbox.log(name).count(f"onion message from {RECEIVER}"),
    )
    still.sandbox.disconnect(used, RECEIVER)
    batch.end_in_time()

    assert batch.status is ExitStatus.PAID


def test_connections_that_hang_hold_up_no_other_row(launch: Launch) -> None:
    """More of them than there are threads for them, and than rows that are prepared."""
    limits = Limits(unsent=2, connectors=2)
    stuck = [f"stuck {number}" for number in range(5)]
    shape = simulated.topology(Family.V26_06)
    still = launch(
        Family.V26_06,
        Topology((*shape.nodes, *(NodeSpec(name) for name in stuck)), shape.channels),
    )
    still.sandbox.faults.break_call(RECEIVER, "connect", CallFault.NEVER, times=10**6)
    hanging = [Request(still.sandbox.request(name, 1000), name) for name in stuck]
    batch = still.run_batch(
        rows_of([*hanging, *(each.request for each in rows(still, "ab") if each.request)]),
        limits=limits,
    )

    def look() -> bool:
        still.clock.advance(0.1)
        return len(batch.results) == 2

    wait_for(look, "the rows that need no connection")
    assert batch.exits() == {"a": 0, "b": 0}
    assert len(batch.client.made("connect")) == limits.connectors


@pytest.mark.parametrize("fault", ["restart", "freeze"])
def test_no_message_is_too_many_after_an_absence(still: TimedNetwork, fault: str) -> None:
    """What was due meanwhile does not go out at once."""
    back_at = math.inf

    def be_away(seconds: float) -> None:
        still.clock.advance(seconds)
        if still.clock() >= back_at:
            still.sandbox.start_node(RECEIVER)

    batch = still.run_batch(rows(still, range(12)), sleep=be_away)
    while sent(batch) < 4:
        batch.skip_wait()
    back_at = still.clock() + 12 * INTERVAL
    if fault == "restart":
        still.sandbox.stop_node(RECEIVER)
    else:
        before = len(batch.client.calls)
        still.sandbox.freeze_node(RECEIVER)
        still.clock.advance(INTERVAL)
        wait_for(lambda: len(batch.client.calls) > before, "a call that is not answered")
        still.clock.advance(11 * INTERVAL)
        still.sandbox.thaw_node(RECEIVER)
    batch.end_in_time()

    assert batch.status is ExitStatus.PAID
    assert too_many(still) == []


def test_interruption_waits_for_no_lightningd_that_hangs(still: TimedNetwork) -> None:
    """Every thread that calls it is stuck."""
    still.sandbox.faults.break_call(RECEIVER, "listinvoices", CallFault.NEVER, times=10**6)
    threads = Limits().threads
    batch = still.run_batch(rows(still, range(threads + 1)))
    wait_for(lambda: len(batch.client.made("listinvoices")) == threads, "all threads to be stuck")

    batch.abandon()
    batch.end()

    assert batch.status is ExitStatus.INTERRUPTED


# --- what rows share ---


def test_without_a_helper_it_is_said_once(still: TimedNetwork) -> None:
    still.sandbox.faults.refuse_plugins(RECEIVER, -3, "cannot run it")
    batch = still.run_batch(rows(still, "abc"))
    batch.end_in_time()

    assert batch.status is ExitStatus.PAID
    (warning,) = batch.told.warnings
    assert "cannot hear the payer's answers" in warning
    # It concerns each row that was under way then.
    kept = [text for result in batch.results for text in result.outcome.warnings]
    assert kept
    assert all(warning.startswith(text) for text in kept)


class _Calls:
    """The receiver's calls: how often each was made, and how many were open at once."""

    def __init__(self, still: TimedNetwork) -> None:
        self.made: Counter[str] = Counter()
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        #: Most calls of all kinds. Each has a connection of its own.
        self.connections = 0
        still.sandbox.observe_calls(self._observe)

    def _observe(self, node: str, method: str, phase: str) -> None:
        if node != RECEIVER:
            return
        self.open[method] += 1 if phase == "before" else -1
        self.most[method] = max(self.most[method], self.open[method])
        self.connections = max(self.connections, self.open.total())
        self.made[method] += phase == "before"


@pytest.mark.parametrize("losses", [0, 5])
def test_one_wait_and_few_sockets_for_all(fast: TimedNetwork, losses: int) -> None:
    """A call that breaks does not end those that still work."""
    calls = _Calls(fast)
    hold = fast.sandbox.faults.hold_payments(PAYER)
    if losses:
        fast.sandbox.faults.break_call(RECEIVER, "createinvoice", CallFault.CLOSE_AFTER, losses)
    batch = fast.run_batch(rows(fast, range(40)), pacer=no_pace())
    wait_for(lambda: batch.counts is not None and batch.counts.waiting == 40, "all to wait")
    hold.release()
    batch.end_in_time()

    assert batch.status is ExitStatus.PAID
    # For changes, and for deletions.
    assert calls.most["wait"] == 2
    assert calls.made["waitinvoice"] == 0
    assert calls.most["sendinvoice-replies"] == 1
    limits = Limits()
    assert calls.connections <= limits.threads + limits.seekers + 3


def test_nothing_is_asked_again_and_again_when_the_newest_invoice_was_deleted(
    still: TimedNetwork,
) -> None:
    invreq = still.sandbox.request(PAYER, 1000)
    assert still.run(invreq, label="before").outcome().exit_status is ExitStatus.PAID
    still.sandbox.call(RECEIVER, "delinvoice", label="before", status="paid")
    hold = still.sandbox.faults.hold_payments(PAYER)

    batch = still.run_batch(rows(still, "x"))
    still.await_arrival(1)
    wait_for(lambda: batch.is_waiting, "the payment to be waited for")
    hold.release()
    batch.end()

    assert batch.exits() == {"x": 0}
    # Where each index is, and then one for each change.
    assert len(batch.client.made("wait")) <= 5


def test_each_row_gives_up_a_lightningd_that_is_gone_at_its_own_end(still: TimedNetwork) -> None:
    still.sandbox.faults.be_silent(PAYER)
    begun = still.clock()

    def be_away(seconds: float) -> None:
        still.clock.advance(seconds)
        ended = sum(still.clock() >= begun + timeout for timeout in (5, 300))
        wait_for(lambda: len(batch.results) >= ended, "a row's end")

    requests = [
        Request(still.sandbox.request(PAYER, 1000), label, timeout=timeout)
        for label, timeout in (("short", 5), ("long", 300))
    ]
    batch = still.run_batch(rows_of(requests), sleep=be_away)
    wait_for(lambda: still.arrived() == 2 and batch.is_waiting, "both to wait")
    still.sandbox.stop_node(RECEIVER)
    batch.end()

    assert [result.outcome.known["label"] for result in batch.results] == ["short", "long"]
    assert batch.exits() == {"short": 5, "long": 5}


@pytest.mark.parametrize("method", ["createinvoice", "createonion", "listinvoices"])
def test_a_call_that_lightningd_never_survives(still: TimedNetwork, method: str) -> None:
    """The rows fail, each by itself, and the batch ends."""
    still.sandbox.faults.break_call(RECEIVER, method, CallFault.CLOSE_BEFORE, 10**6)
    batch = still.run_batch(rows(still, "ab", timeout=20))
    batch.end_in_time()
    assert set(batch.exits()) == {"a", "b"}
    assert set(batch.exits().values()) <= {4, 5}


def test_the_block_height_is_read_anew_for_a_row_that_comes_late(still: TimedNetwork) -> None:
    """By an old one, its payment paths have expired."""
    batches: list[BatchRun] = []

    def arriving() -> Iterator[Row]:
        early, late = rows(still, ["early", "late"])
        yield early
        wait_for(lambda: batches and batches[0].results, "the first result")
        before.append(len(batches[0].client.made("getinfo")))
        still.clock.advance(3600)
        yield late

    before: list[int] = []
    batches.append(still.run_batch(arriving()))
    batches[0].end()
    assert batches[0].exits() == {"early": 0, "late": 0}
    assert len(batches[0].client.made("getinfo")) == before[0] + 1


# --- what it holds ---


def test_repeated_labels_are_read_as_they_are_needed(still: TimedNetwork) -> None:
    still.sandbox.faults.be_silent(PAYER)
    (row,) = rows(still, ["same"], timeout=5)
    assert row.request is not None
    limits = Limits(repeated=20, unsent=30)
    batches: list[BatchRun] = []
    taken: list[int] = []

    def arriving() -> Iterator[Row]:
        assert row.request is not None
        for each in rows_of([row.request] * 150):
            if not (batches and batches[0].results):
                taken.append(each.number)
            yield each

    batches.append(still.run_batch(arriving(), limits=limits))
    still.await_arrival(1)
    wait_for(lambda: len(taken) > limits.repeated, "as many rows as may be read")
    still.clock.advance(5)
    batches[0].end()

    assert [each.row for each in batches[0].results] == list(range(1, 151))
    assert len(taken) <= limits.repeated + limits.unsent + 3


def test_unreadable_row_does_not_part_those_with_the_same_label(still: TimedNetwork) -> None:
    """The third ran beside the first, which then heard of the payment at its deadline only."""
    hold = still.sandbox.faults.hold_payments(PAYER)
    (row,) = rows(still, ["same"], timeout=60)
    unreadable = Row(2, 2, None, UsageError("not a row"), "same")
    batch = still.run_batch([row, unreadable, row._replace(number=3, line=3)])
    still.await_arrival(1)
    hold.release()
    batch.end()
    assert [each.row for each in batch.results] == [2, 1, 3]
    assert len(batch.client.made("createinvoice")) == sent(batch) == 1


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Python collects no garbage: what refers to itself stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(
    ("labels", "status"),
    [
        pytest.param(range(200), ExitStatus.PAID, id="paid"),
        pytest.param(["taken"] * 200, ExitStatus.PARTLY_PAID, id="failed"),
    ],
)
def test_what_is_finished_is_let_go(
    fast: TimedNetwork, labels: Sequence[object], status: ExitStatus
) -> None:
    limits = Limits(unsent=20, repeated=20)
    # Whatever a row holds lives as long as this.
    alive: WeakSet[PlainProgress] = WeakSet()
    most = 0

    def progress(_number: int) -> PlainProgress:
        made = PlainProgress(Told())
        alive.add(made)
        return made

    def arriving() -> Iterator[Row]:
        nonlocal most
        for each in rows(fast, labels):
            most = max(most, len(alive))
            yield each

    batch = fast.run_batch(arriving(), pacer=no_pace(), limits=limits, for_row=progress)
    batch.end()

    assert batch.status is status
    assert 0 < most < 100
    expected = [each for call in batch.client.made(EXPECT) for each in call["pathsecrets"]]
    forgotten = [each for call in batch.client.made(EXPECT) for each in call.get("forget", ())]
    assert len(expected) == len({*labels})
    assert len(set(expected) - set(forgotten)) < 100


# --- all at once ---


def test_everything_goes_wrong_at_once(launch: Launch) -> None:
    """Messages are lost, payers refuse, limits hold, and lightningd restarts meanwhile."""
    still = launch(Family.V26_06, crowd())
    wanted = wishes(still.sandbox, 12)
    assert lose_messages(still.sandbox, 0.1, 100, seed=6) > 0

    def be_away(seconds: float) -> None:
        still.sandbox.settle()
        still.clock.advance(seconds)

    batch = still.run_batch(
        rows_of(Request(each.invreq, each.label) for each in wanted), sleep=be_away
    )
    while len(batch.results) < 5:
        batch.skip_wait()
    still.sandbox.restart_node(RECEIVER)
    batch.end_in_time()

    check_books(still.sandbox, wanted, batch.exits())
    assert any("broke" in each or "cannot reach" in each for each in batch.told.warnings)
