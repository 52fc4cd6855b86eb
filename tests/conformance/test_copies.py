"""Messages get lost, and the same invoice is sent again: paid once, and never a false failure."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from subprocess import Popen

import pytest

from sendinvoice_cli.answering.deadline import LAST_WORD_SECONDS
from sendinvoice_cli.bolt12 import fields, string, tlv
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import ExitStatus
from sendinvoice_cli.node.events.reply_plugin import EXPECT, REPLIES
from sendinvoice_cli.onion import message
from sendinvoice_cli.outcome import Outcome
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.requests import request_id
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology
from tests.networks import SENT, Network, finish, wait_for
from tests.networks.faults import CallFault
from tests.networks.holds import held
from tests.networks.runs import paid_msat, read_until
from tests.networks.timed import PAYER, RECEIVER, ROUTER, Run, Spending, TimedNetwork
from tests.support.crafting import craft_request
from tests.support.schema import check_paid

from .conftest import in_both_ways

pytestmark = in_both_ways

Start = Callable[..., TimedNetwork]

AMOUNT_MSAT = 7_000
PAID_ONCE = [Spending("complete", AMOUNT_MSAT)]
#: Since then, an invoice that is being paid already draws an error.
PAYS_BY_XPAY = (24, 11)
#: What the command writes, with -v, when it has heard a payer's reply.
REPLY_HEARD = re.compile(rf"call {REPLIES} \([0-9.]+ ms\)$")
#: When nothing is heard, copies go after so many seconds of waiting, each.
INTERVALS = [8, 16, 32, 60, 60]


def request(still: TimedNetwork) -> str:
    return still.sandbox.request(PAYER, AMOUNT_MSAT, "a refund")


def path_ids(run: Run) -> list[str]:
    """The path_id of each copy, in hex, the first one first."""
    return [each for call in run.client.made(EXPECT) for each in call["pathsecrets"]]


def await_reply(run: Run, number: int) -> None:
    """Return once the command has heard this many refusals, and asks for the next one."""
    wait_for(lambda: len(run.client.made(REPLIES)) > number, f"reply {number}")


def assert_paid(outcome: Outcome, still: TimedNetwork) -> None:
    assert (outcome.exit_status, outcome.error) == (ExitStatus.PAID, None)
    assert outcome.known["status"] == "paid"
    assert outcome.known["amount_received_msat"] == AMOUNT_MSAT
    assert still.spent() == PAID_ONCE
    assert len(still.invoices()) == 1


def assert_unpaid(outcome: Outcome, still: TimedNetwork, status: ExitStatus) -> None:
    assert outcome.exit_status == status
    assert outcome.known["status"] != "paid"
    assert [invoice["status"] for invoice in still.invoices()] == [outcome.known["status"]]
    assert not [pay for pay in still.spent() if pay.status != "failed"]


# --- lost messages ---


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("at", [ROUTER, PAYER])
def test_first_message_is_lost(launch: Start, family: Family, at: str) -> None:
    still = launch(family)
    still.sandbox.faults.drop_message(at=at)
    run = still.run(request(still))

    assert run.skip_wait() == INTERVALS[0]
    still.await_arrival(1)

    assert_paid(run.outcome(), still)
    assert len(still.sandbox.received_invoices(PAYER)) == 1


@pytest.mark.parametrize("lost", [2, 3, 4])
def test_several_messages_are_lost(still: TimedNetwork, lost: int) -> None:
    for number in range(lost):
        still.sandbox.faults.drop_message(number + 1, at=PAYER)
    run = still.run(request(still), timeout=600)

    for _ in range(lost):
        run.skip_wait()
    still.await_arrival(1)

    assert_paid(run.outcome(), still)
    assert run.waits == INTERVALS[:lost]


@pytest.mark.parametrize(
    ("timeout", "waits", "copies"),
    [
        pytest.param(200, [*INTERVALS, 24], 6, id="long"),
        pytest.param(90, [*INTERVALS[:3], 34], 4, id="default"),
        # A copy must leave the payer some time to pay it.
        pytest.param(12, [8, 4], 1, id="short"),
    ],
)
def test_copies_within_the_timeout(
    still: TimedNetwork, timeout: int, waits: list[int], copies: int
) -> None:
    still.sandbox.faults.be_silent(PAYER)
    run = still.run(request(still), timeout=timeout)

    outcome = run.outcome_in_time()

    assert_unpaid(outcome, still, ExitStatus.TIMED_OUT)
    assert outcome.known["status"] == "expired"
    assert run.waits == waits
    arrived = still.sandbox.received_invoices(PAYER)
    assert len(arrived) == copies
    assert set(arrived) == {string.decode(outcome.known["bolt12"], "lni")}


def test_each_copy_has_a_path_id_of_its_own(still: TimedNetwork) -> None:
    still.sandbox.faults.be_silent(PAYER)
    run = still.run(request(still))

    run.outcome_in_time()

    assert len(path_ids(run)) == 4
    assert len(set(path_ids(run))) == 4


@pytest.fixture
def two_routers(launch: Start) -> TimedNetwork:
    """Each of the routers leads from the receiver to the payer."""
    routers = ("one", "two")
    pairs = [(PAYER, each) for each in routers] + [(each, RECEIVER) for each in routers]
    return launch(
        Family.V26_06,
        Topology(
            tuple(NodeSpec(name) for name in (PAYER, *routers, RECEIVER)),
            tuple(ChannelSpec(*pair) for pair in pairs),
        ),
    )


def passed(still: TimedNetwork, router: str) -> int:
    """How many of the receiver's messages a router has seen."""
    return still.sandbox.log(router).count(f"onion message from {RECEIVER}")


def test_copies_take_turns_on_the_routes(two_routers: TimedNetwork) -> None:
    two_routers.sandbox.faults.be_silent(PAYER)
    run = two_routers.run(request(two_routers), timeout=15)

    seen = []
    for copy in (1, 2):
        two_routers.await_arrival(copy)
        seen.append([passed(two_routers, router) for router in ("one", "two")])
        run.skip_wait()

    assert sorted(seen[0]) == [0, 1]
    assert seen[1] == [1, 1]


def test_copies_take_turns_on_the_paths_of_the_request(two_routers: TimedNetwork) -> None:
    """Either path leads to the payer, but all messages to the first path's router are lost."""
    still = two_routers
    bare = craft_request(still.sandbox.node_id(PAYER).hex(), AMOUNT_MSAT)
    records = tlv.decode_stream(string.decode(bare, "lnr"))
    secret = still.sandbox.call(PAYER, "makesecret", string="offers-blinded-path")["secret"]
    path_id = sha256(bytes.fromhex(secret) + request_id(records)).digest()
    paths = b"".join(
        message.reply_path(
            (still.sandbox.node_id(router), still.sandbox.node_id(PAYER)), path_id
        ).encode()
        for router in ("one", "two")
    )
    with_paths = sorted((*records, Record(fields.INVREQ_PATHS, paths)))
    invreq = still.sandbox.call(
        PAYER,
        "createinvoicerequest",
        bolt12=string.encode("lnr", tlv.encode_stream(with_paths)),
        savetodb=True,
    )["bolt12"]
    still.sandbox.faults.drop_messages(at="one")

    run = still.run(invreq)
    run.skip_wait()
    still.await_arrival(1)

    assert_paid(run.outcome(), still)


# --- errors that answer one copy of several ---


def test_error_for_a_repeated_copy_is_not_final(still: TimedNetwork) -> None:
    """The first copy is late; the second one is refused, and then the first one is paid."""
    faults = still.sandbox.faults
    faults.delay_message(seconds=20, at=PAYER)
    faults.refuse(PAYER, "not this one")
    run = still.run(request(still))

    run.skip_wait()
    still.await_arrival(1)
    await_reply(run, 1)
    faults.behave(PAYER)
    still.clock.advance(12)
    still.await_arrival(2)

    assert_paid(run.outcome(), still)


def test_error_for_a_repeated_copy_is_reported_at_the_deadline(still: TimedNetwork) -> None:
    faults = still.sandbox.faults
    faults.drop_message(at=PAYER)
    faults.refuse(PAYER, "not this one")
    run = still.run(request(still), timeout=20)
    begun = still.clock()

    run.skip_wait()
    still.await_arrival(1)
    await_reply(run, 1)
    outcome = run.outcome_in_time()

    assert still.clock() == begun + 20
    assert_unpaid(outcome, still, ExitStatus.PAYER_ERROR)
    assert outcome.error is not None
    assert outcome.error.as_json()["code"] == 1004
    assert outcome.error.data == {"error": "not this one"}


def test_error_is_final_once_every_copy_has_its_reply(still: TimedNetwork) -> None:
    faults = still.sandbox.faults
    faults.delay_message(seconds=10, at=PAYER)
    faults.refuse(PAYER, "neither of them")
    run = still.run(request(still))

    run.skip_wait()
    still.await_arrival(1)
    await_reply(run, 1)
    assert not run.is_over
    still.clock.advance(2)

    assert_unpaid(run.outcome(), still, ExitStatus.PAYER_ERROR)


def test_lost_reply_leaves_the_wait_to_the_deadline(still: TimedNetwork) -> None:
    faults = still.sandbox.faults
    faults.refuse(PAYER, "nobody hears that")
    faults.drop_messages(at=RECEIVER)
    run = still.run(request(still), timeout=20)
    still.await_arrival(1)

    outcome = run.outcome_in_time()

    assert_unpaid(outcome, still, ExitStatus.TIMED_OUT)


# --- payments that take their time ---


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("copies", [1, 2, 3])
def test_held_payment_with_repeated_copies(launch: Start, family: Family, copies: int) -> None:
    still = launch(family)
    hold = still.sandbox.faults.hold_payments(PAYER)
    run = still.run(request(still))
    still.await_arrival(1)
    for copy in range(2, copies + 1):
        run.skip_wait()
        still.await_arrival(copy)
        if family is Family.V26_06:
            # The others have the copy share the outcome of the first.
            await_reply(run, copy - 1)

    assert not run.is_over
    hold.release()

    assert_paid(run.outcome(), still)


def test_copy_that_arrives_after_the_payment(still: TimedNetwork) -> None:
    """The second copy is paid, and then the first one is late, and draws an error."""
    still.sandbox.faults.delay_message(seconds=10, at=PAYER)
    hold = still.sandbox.faults.hold_payments(PAYER)
    run = still.run(request(still))

    run.skip_wait()
    still.await_arrival(1)
    still.clock.advance(2)
    still.await_arrival(2)
    await_reply(run, 1)
    assert not run.is_over
    hold.release()

    assert_paid(run.outcome(), still)


def test_held_payment_that_fails_is_reported(still: TimedNetwork) -> None:
    """The error is the payer's last reply, which is about the first copy."""
    still.sandbox.faults.pay_amount(PAYER, 1)
    hold = still.sandbox.faults.hold_payments(PAYER)
    run = still.run(request(still))
    still.await_arrival(1)
    run.skip_wait()
    still.await_arrival(2)
    await_reply(run, 1)
    assert not run.is_over
    hold.release()
    await_reply(run, 2)

    outcome = run.outcome_in_time()

    assert_unpaid(outcome, still, ExitStatus.PAYER_ERROR)
    assert outcome.error is not None
    assert "incorrect_or_unknown_payment_details" in outcome.error.message


def test_copy_of_another_command_is_paid_and_ours_draws_the_error(still: TimedNetwork) -> None:
    """Two commands at once: the one that made the invoice is the second to reach the payer."""
    invreq = request(still)
    still.sandbox.faults.delay_message(seconds=2, at=PAYER)
    hold = still.sandbox.faults.hold_payments(PAYER)
    first = still.run(invreq)
    wait_for(lambda: "delayed" in "".join(still.sandbox.log(PAYER)), "the first one's message")
    second = still.run(invreq)
    still.await_arrival(1)
    still.clock.advance(2)
    still.await_arrival(2)
    await_reply(first, 1)

    assert not first.is_over
    hold.release()

    assert_paid(first.outcome(), still)
    assert_paid(second.outcome(), still)


# --- paid in the last instant ---


def test_paid_without_a_word_is_found_at_the_deadline(still: TimedNetwork) -> None:
    """The call that waits for the payment hangs, so only the last look at the state shows it."""
    still.sandbox.faults.break_call(RECEIVER, "waitinvoice", CallFault.NEVER)
    still.sandbox.faults.delay_payments(PAYER, 19)
    run = still.run(request(still), timeout=20)
    still.await_arrival(1)
    run.skip_wait()
    still.clock.advance(11)
    wait_for(still.has_spent, "the payment")

    assert not run.is_over
    still.clock.advance(1)

    assert_paid(run.outcome(), still)


def test_lightningd_decides_when_it_is_too_late(still: TimedNetwork) -> None:
    """The command's clock is ahead: the invoice can still be paid when its deadline comes."""
    hold = still.sandbox.faults.hold_payments(PAYER)
    run = still.run(request(still), timeout=20, ahead_seconds=3)
    still.await_arrival(1)
    while still.clock() < (still.invoices()[0]["expires_at"] - 3):
        run.skip_wait()

    wait_for(lambda: len(run.client.made("listinvoices")) >= 2, "the look at the invoice")
    assert not run.is_over
    hold.release()

    assert_paid(run.outcome(), still)


def test_clock_that_is_far_ahead_ends_the_wait_all_the_same(still: TimedNetwork) -> None:
    still.sandbox.faults.be_silent(PAYER)
    run = still.run(request(still), timeout=100, ahead_seconds=60)
    begun = still.clock()

    outcome = run.outcome_in_time()

    assert still.clock() == begun + 100 - 60 + LAST_WORD_SECONDS
    assert_unpaid(outcome, still, ExitStatus.TIMED_OUT)
    assert outcome.known["status"] == "unpaid"


# --- real time, and real nodes ---


def test_held_payment_and_a_copy_of_another_command(
    network: Network, label: str, start: Callable[..., Popen[str]]
) -> None:
    invreq = network.request(AMOUNT_MSAT)
    with held(network) as payments:
        first = start("--json", "-v", invreq, label)
        wait_for(payments.is_any, "the payment")
        second = start("--json", "-v", invreq, label)
        read_until(second, SENT)
        if network.version >= PAYS_BY_XPAY:
            read_until(second, REPLY_HEARD)
        assert (first.poll(), second.poll()) == (None, None)
        payments.release()
        results = [finish(first), finish(second)]

    for result in results:
        assert result.exit == 0, result
        check_paid(result.json)
    assert results[0].json["payment_hash"] == results[1].json["payment_hash"]
    assert paid_msat(network, invreq) == [AMOUNT_MSAT]


@pytest.mark.parametrize("network", ["lightningd"], indirect=True)
def test_held_payment_and_a_copy_of_the_same_command(
    network: Network, label: str, start: Callable[..., Popen[str]]
) -> None:
    """On real nodes; a test above does the same in a sandbox, where time is skipped."""
    invreq = network.request(AMOUNT_MSAT)
    with held(network) as payments:
        process = start("--json", "-v", invreq, label)
        wait_for(payments.is_any, "the payment")
        read_until(process, re.compile("sending the invoice again"))
        read_until(process, SENT)
        if network.version >= PAYS_BY_XPAY:
            read_until(process, REPLY_HEARD)
        assert process.poll() is None
        payments.release()
        result = finish(process)

    assert result.exit == 0, result
    check_paid(result.json)
    assert paid_msat(network, invreq) == [AMOUNT_MSAT]
