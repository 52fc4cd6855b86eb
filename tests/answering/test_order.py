"""The order of steps and every ending, by a host with a clock by hand; times are seconds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from sendinvoice_cli.answering.blocking_host import run_blocking
from sendinvoice_cli.answering.delivery import HELPER_SECONDS
from sendinvoice_cli.answering.order import SEARCH_GRACE
from sendinvoice_cli.bolt12 import fields, tlv
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.errors import (
    ExitStatus,
    InterruptedBySignalError,
    LightningdError,
    TerminatedBySignalError,
    UnreachableError,
)
from sendinvoice_cli.node.events.losses import MAX_LOSSES
from sendinvoice_cli.node.events.replies import Reply
from sendinvoice_cli.node.invoices import Change, StoredInvoice
from sendinvoice_cli.node.rpc.client import NoAnswerError
from sendinvoice_cli.onion import message
from sendinvoice_cli.outcome import Outcome
from sendinvoice_cli.signals import Interruption
from tests.node import fake_client
from tests.support.requests_builder import node_id, path, request_string
from tests.support.scripted import (
    INVREQ,
    LABEL,
    NOT_YET,
    PAYER,
    PAYING,
    REFUSED,
    ROUTER,
    START,
    UNCLEAR,
    World,
)

PREPARING = [
    *("getinfo", "listconfigs", "help"),
    *("listinvoices", "(helper starts)", "(helper is ready)"),
    *("listpeerchannels", "listnodes", "listpeers"),
]
SENDING = ["createonion", "injectonionmessage"]


def made(world: World, method: str) -> int:
    """How often a method was called."""
    return world.lightningd.log.count(method)


def leave_unpaid(world: World, timeout: int = 90, invreq: str = INVREQ) -> None:
    """An earlier command has created the invoice, and was killed."""
    earlier = World()
    earlier.run(timeout=timeout, invreq=invreq)
    world.lightningd.invoices = earlier.lightningd.invoices
    world.lightningd.change(status="unpaid")


def assert_ends(world: World, outcome: Outcome, status: ExitStatus, at: float) -> None:
    assert (outcome.exit_status, world.seconds) == (status, at), (outcome.error, world.told)


# --- the order ---


def test_order_of_steps() -> None:
    world = World()
    world.at(2, world.pay)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAID, 2)
    assert world.lightningd.log == [*PREPARING, "listnodes", "wait", "createinvoice", *SENDING]
    assert outcome.known["payment_preimage"]
    assert world.told.steps[1:] == ["Invoice created", "us → node 2"]


@pytest.mark.parametrize("dry_run", [False, True])
def test_request_that_is_too_long_to_be_answered_creates_nothing(dry_run: bool) -> None:
    """Its invoice would fit into no onion message."""
    world = World()
    invreq = request_string(
        {fields.INVREQ_METADATA: bytes(32_500), fields.INVREQ_PAYER_ID: node_id(PAYER)}, sign=False
    )
    outcome = world.run(invreq=invreq, dry_run=dry_run)
    assert_ends(world, outcome, ExitStatus.USAGE, 0)
    assert "fits into no onion message" in str(outcome.error)
    assert not made(world, "createinvoice")


def test_invoice_that_exists_is_waited_for_although_no_message_can_carry_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An earlier copy, on another route, may be out."""
    world = World()
    leave_unpaid(world)
    monkeypatch.setattr(message.OnionMessage, "packet_size", lambda _: None)
    world.at(20, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 20)
    assert world.copies_at == []


def test_route_is_told_at_once_although_lightningd_goes_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It makes do without the names; a payment that is known must not wait for it."""
    world = World(away_seconds=30)
    told_at: list[float] = []
    monkeypatch.setattr(world.told, "routed", lambda _names: told_at.append(world.seconds))
    lost = UnreachableError("gone")
    world.lightningd.after["injectonionmessage", 1] = lambda: world.connection.lose(lost, 0)
    world.at(40, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 40)
    assert told_at[0] == 0


def test_paid_before_sends_nothing() -> None:
    world = World()
    leave_unpaid(world)
    world.lightningd.pay()
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAID, 0)
    assert world.lightningd.log == PREPARING[:4]


def test_resumed_invoice_is_sent_again_and_waited_for_until_it_expires() -> None:
    world = World()
    leave_unpaid(world, timeout=20)
    world.at(20, world.expire)
    outcome = world.run(timeout=500)
    assert_ends(world, outcome, ExitStatus.TIMED_OUT, 20)
    assert world.copies_at == [0, 8]
    assert made(world, "createinvoice") == 0


def test_resumed_invoice_that_was_paid_before_it_was_followed_is_seen_as_paid() -> None:
    world = World()
    leave_unpaid(world)
    # Nobody tells: it was not followed yet.
    world.lightningd.before["wait", 1] = world.pay_unheard
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAID, 0)
    assert world.copies_at == []


def test_refusal_of_a_resumed_invoice_is_final() -> None:
    world = World()
    leave_unpaid(world)
    world.at(1, world.says(REFUSED))
    assert_ends(world, world.run(), ExitStatus.PAYER_ERROR, 1)


def test_unclear_answer_to_a_resumed_invoice_waits_since_another_copy_may_be_out() -> None:
    world = World()
    leave_unpaid(world)
    world.at(1, world.says(UNCLEAR))
    world.at(5, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 5)


def test_expired_invoice_stays_unless_it_is_to_be_renewed() -> None:
    world = World()
    leave_unpaid(world)
    world.lightningd.change(status="expired")
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.LABEL_TAKEN, 0)
    assert LABEL in world.lightningd.invoices
    assert made(world, "delinvoice") == 0


def test_expired_invoice_is_deleted_only_when_all_is_ready_for_a_fresh_one() -> None:
    world = World(helper_seconds=3)
    leave_unpaid(world)
    world.lightningd.change(status="expired")
    world.at(5, world.pay)
    assert_ends(world, world.run(renew=True), ExitStatus.PAID, 5)
    log = world.lightningd.log
    assert log.index("(helper is ready)") < log.index("delinvoice") < log.index("createinvoice")


@pytest.mark.parametrize("is_refused", [False, True])
def test_expired_invoice_that_is_paid_after_all_is_not_replaced(is_refused: bool) -> None:
    """lightningd takes it for expired, and a payment that was on its way arrives."""
    world = World()
    leave_unpaid(world)
    world.lightningd.change(status="expired")

    def be_paid_first() -> None:
        world.lightningd.pay()
        if is_refused:
            raise LightningdError("delinvoice: its status is paid", rpc_code=906)

    method = ("delinvoice", 1) if is_refused else ("listinvoices", 2)
    world.lightningd.before[method] = be_paid_first
    assert_ends(world, world.run(renew=True), ExitStatus.PAID, 0)
    assert made(world, "createinvoice") == 0


def test_dry_run_creates_and_starts_nothing() -> None:
    world = World()
    outcome = world.run(dry_run=True)
    assert_ends(world, outcome, ExitStatus.PAID, 0)
    assert outcome.known["status"] == "dry-run"
    assert world.lightningd.invoices == {}
    assert not {"(helper starts)", "createinvoice", "wait", *SENDING} & {*world.lightningd.log}


def test_dry_run_of_an_unpaid_invoice_does_not_look_like_a_payment() -> None:
    """It said "Paid", since there was an invoice and no error."""
    world = World()
    leave_unpaid(world)
    outcome = world.run(dry_run=True)
    assert_ends(world, outcome, ExitStatus.PAID, 0)
    assert outcome.known["status"] == "dry-run"
    assert outcome.known["path"]
    assert made(world, "createinvoice") == 0


def test_no_replies_starts_no_helper() -> None:
    world = World()
    world.at(1, world.pay)
    assert_ends(world, world.run(no_replies=True), ExitStatus.PAID, 1)
    assert made(world, "(helper starts)") == 0


def test_malformed_request_asks_lightningd_nothing() -> None:
    world = World()
    outcome = world.run(invreq="lnr1qq")
    assert_ends(world, outcome, ExitStatus.USAGE, 0)
    assert world.lightningd.log == []


def test_expired_request_creates_nothing() -> None:
    world = World()
    expired = {
        fields.OFFER_ABSOLUTE_EXPIRY: (START - 1).to_bytes(4, "big"),
        fields.INVREQ_PAYER_ID: node_id(PAYER),
    }
    outcome = world.run(invreq=request_string(expired, sign=False))
    assert_ends(world, outcome, ExitStatus.REQUEST_EXPIRED, 0)
    assert world.lightningd.invoices == {}


def _expiring(seconds: int) -> str:
    """A request that expires so many seconds from the start."""
    at = (START + seconds).to_bytes(4, "big")
    return request_string(
        {fields.OFFER_ABSOLUTE_EXPIRY: at, fields.INVREQ_PAYER_ID: node_id(PAYER)}, sign=False
    )


def test_request_that_expires_before_its_invoice_exists_is_not_waited_for() -> None:
    """It ended with 13 at TIMEOUT, and the advice to run it again, which ends with 12."""
    world = World()
    world.peers_away(1000)
    outcome = world.run(invreq=_expiring(10), timeout=60)
    assert_ends(world, outcome, ExitStatus.REQUEST_EXPIRED, 11)
    assert world.lightningd.invoices == {}


def test_paid_invoice_of_a_request_that_has_expired_is_reported() -> None:
    paid = World()
    paid.at(1, paid.pay)
    paid.run(invreq=_expiring(2))
    world = World()
    world.lightningd.invoices = paid.lightningd.invoices
    world.take(60)
    assert_ends(world, world.run(invreq=_expiring(2)), ExitStatus.PAID, 60)


def test_request_that_expires_before_its_turn_is_not_answered() -> None:
    world = World(turn_seconds=(20,))
    outcome = world.run(invreq=_expiring(10), timeout=60)
    assert_ends(world, outcome, ExitStatus.REQUEST_EXPIRED, 20)
    assert world.lightningd.invoices == {}


def test_request_that_expires_during_the_wait_ends_nothing() -> None:
    """Core Lightning still pays."""
    world = World()
    world.at(20, world.pay)
    assert_ends(world, world.run(invreq=_expiring(10)), ExitStatus.PAID, 20)


def test_invoice_is_not_replaced_once_the_request_has_expired() -> None:
    world = World()
    leave_unpaid(world, timeout=8, invreq=_expiring(5))
    world.at(8, world.expire)
    outcome = world.run(invreq=_expiring(5), renew=True, timeout=60)
    assert_ends(world, outcome, ExitStatus.TIMED_OUT, 8)
    assert made(world, "createinvoice") == 0


def test_no_route_creates_nothing() -> None:
    world = World()
    world.lightningd.answers["listpeers"] = {"peers": []}
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.NO_ROUTE, 0)
    assert world.lightningd.invoices == {}
    assert "bolt12" not in outcome.known


def test_invoice_is_created_only_when_its_turn_to_be_sent_has_come() -> None:
    world = World(turn_seconds=(40,))
    world.at(41, world.pay)
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.PAID, 41)
    assert outcome.known["expires_at"] == START + 50
    assert world.copies_at == [40]


def test_block_height_is_read_anew_before_an_invoice_that_waited_long_for_its_turn() -> None:
    """Else its payment paths would expire, in a batch that takes days."""
    world = World(turn_seconds=(3600,))
    world.at(3601, world.pay)
    world.run()
    log = world.lightningd.log
    assert log[log.index("createinvoice") - 1] == "getinfo"
    assert world.node.node.blockheight == 100


def test_invoice_is_not_created_before_the_helper_is_ready() -> None:
    world = World(helper_seconds=8)
    world.at(10, world.pay)
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.PAID, 10)
    assert outcome.known["expires_at"] == START + 18
    log = world.lightningd.log
    assert log.index("(helper is ready)") < log.index("createinvoice")


@pytest.mark.parametrize(("timeout", "at"), [(10, 10), (90, HELPER_SECONDS)])
def test_helper_that_starts_slowly_is_not_waited_for_beyond_its_time(
    timeout: int, at: float
) -> None:
    world = World(helper_seconds=500)
    world.at(at + 5, world.pay)
    assert_ends(world, world.run(timeout=timeout), ExitStatus.PAID, at + 5)
    assert world.copies_at == [at]


def test_helper_that_is_ready_while_lightningd_comes_back_is_not_waited_for_any_more() -> None:
    world = World(helper_seconds=5, away_seconds=4)
    world.at(2, world.go_away)
    world.at(9, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 9)
    assert world.copies_at == [6]


def test_helper_that_starts_anew_holds_up_a_copy_but_not_the_deadline() -> None:
    world = World()

    def start_anew() -> None:
        world.replies.is_settled = False

    world.at(1, start_anew)
    world.at(20, world.expire)
    assert_ends(world, world.run(timeout=20), ExitStatus.TIMED_OUT, 20)
    assert world.copies_at == [0]


# --- how it ends ---


def test_silence_ends_at_the_deadline() -> None:
    world = World()
    world.at(90, world.expire)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.TIMED_OUT, 90)
    assert world.copies_at == [0, 8, 24, 56]
    assert outcome.error is not None
    assert outcome.error.data == {"invstring": outcome.known["bolt12"]}
    assert world.told.steps.count("Nothing heard yet; sending the invoice again") == 3


def test_lightningd_that_does_not_tell_the_end_is_asked_for_30_seconds() -> None:
    world = World()
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.TIMED_OUT, 40)
    assert outcome.known["status"] == "unpaid"


def test_payment_in_the_last_word_that_nobody_tells_of_is_found() -> None:
    world = World()
    world.at(15.5, world.pay_unheard)
    assert_ends(world, world.run(timeout=10), ExitStatus.PAID, 16)


def test_refusal_ends_it_at_once() -> None:
    world = World()
    world.at(1, world.says(REFUSED))
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAYER_ERROR, 1)
    assert outcome.error is not None
    assert outcome.error.data == {"error": REFUSED.text, "erroneous_field": 170}
    # A payment beats every answer.
    assert world.lightningd.log[-1] == "listinvoices"


def test_refusal_of_an_invoice_that_is_paid_all_the_same_is_no_refusal() -> None:
    world = World()

    def pay_unheard_and_refuse() -> None:
        world.lightningd.pay()
        world.say(REFUSED)

    world.at(1, pay_unheard_and_refuse)
    assert_ends(world, world.run(), ExitStatus.PAID, 1)


def test_refusal_that_is_heard_before_the_call_that_sent_the_copy_has_returned_counts() -> None:
    world = World()
    world.lightningd.before["injectonionmessage", 1] = world.says(REFUSED)
    assert_ends(world, world.run(), ExitStatus.PAYER_ERROR, 0)


def test_unclear_answer_that_is_faster_than_the_call_counts() -> None:
    world = World()
    world.lightningd.before["injectonionmessage", 1] = world.says(UNCLEAR)
    assert_ends(world, world.run(), ExitStatus.PAYER_ERROR, 0)


@pytest.mark.parametrize("error", [REFUSED, UNCLEAR])
@pytest.mark.parametrize("at", [10, 10.5, 25, 39.5])
def test_refusal_in_the_seconds_of_the_last_word_is_heard(error: InvoiceError, at: float) -> None:
    world = World()

    def say_of_both() -> None:
        world.say(error, 0)
        if len(world.copies_at) > 1:
            world.say(error, 1)

    world.at(at, say_of_both)
    assert_ends(world, world.run(timeout=10), ExitStatus.PAYER_ERROR, at)
    # lightningd's word on a payment comes after the payer's.
    assert "listinvoices" in world.lightningd.log[-2:]


def test_payment_right_before_a_refusal_in_the_last_word_is_not_called_refused() -> None:
    world = World()

    def pay_unheard_and_refuse() -> None:
        world.lightningd.pay()
        world.say(REFUSED)

    world.at(15.5, pay_unheard_and_refuse)
    assert_ends(world, world.run(timeout=10), ExitStatus.PAID, 15.5)


@pytest.mark.parametrize("at", [1, 12])
def test_deleted_invoice_ends_it_at_once(at: float) -> None:
    world = World()

    def delete() -> None:
        del world.lightningd.invoices[LABEL]
        world.heard.append(Change(LABEL))

    world.at(at, delete)
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.ERROR, at)
    assert outcome.error is not None
    assert "was deleted" in outcome.error.message
    # What is known of it is told all the same.
    assert outcome.known["status"] == "unpaid"


@pytest.mark.parametrize("is_told", ["paid", "by a change without its state", "never"])
def test_another_invoice_under_the_label_counts_as_deleted(is_told: str) -> None:
    """It was sent to the first payer, and its payment was reported: exit 0 with its hash."""
    world = World()

    def take_label() -> None:
        ours = world.lightningd.invoices.pop(LABEL)
        other = {**ours, "payment_hash": "0f" * 32, "bolt12": "", "bolt11": "lnbc1"}
        world.lightningd.invoices[LABEL] = other
        if is_told == "paid":
            world.heard.append(world.lightningd.pay())
        elif is_told != "never":
            world.heard.append(Change(LABEL))

    world.at(1, take_label)
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.ERROR, 10 if is_told == "never" else 1)
    assert outcome.error is not None
    assert "was deleted" in outcome.error.message
    assert outcome.known["status"] == "unpaid"
    assert outcome.known["payment_hash"] != "0f" * 32


def test_deletion_of_somebody_elses_invoice_ends_nothing() -> None:
    world = World()
    world.at(1, lambda: world.heard.append(Change(None)))
    world.at(3, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 3)


def test_paid_invoice_that_is_deleted_at_once_is_paid() -> None:
    """autoclean-paidinvoices-age 0."""
    world = World()

    def pay_and_delete() -> None:
        world.pay()
        del world.lightningd.invoices[LABEL]
        world.heard.append(Change(LABEL))

    world.at(1, pay_and_delete)
    assert_ends(world, world.run(), ExitStatus.PAID, 1)


def test_late_report_of_an_older_state_does_not_overwrite_paid() -> None:
    world = World()

    def tell_in_the_wrong_order() -> None:
        older = Change(LABEL, StoredInvoice.read(world.lightningd.invoices[LABEL]))
        world.pay()
        world.heard.append(older)

    world.at(1, tell_in_the_wrong_order)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAID, 1)
    assert outcome.known["status"] == "paid"
    assert outcome.known["payment_preimage"]


def test_payment_is_not_doubted_by_an_older_state_that_lightningd_still_lists() -> None:
    world = World()

    def pay_and_have_the_state_asked_for() -> None:
        unpaid = dict(world.lightningd.invoices[LABEL])
        world.lightningd.answers["listinvoices"] = {"invoices": [unpaid]}
        world.pay()
        world.heard.append(Change(LABEL))

    world.at(1, pay_and_have_the_state_asked_for)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAID, 1)
    assert outcome.known["status"] == "paid"


def test_payer_that_could_not_pay_yet_is_asked_again_and_pays() -> None:
    world = World()
    world.at(1, world.says(NOT_YET))
    world.at(5, world.pay)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAID, 5)
    assert world.copies_at == [0, 4]
    told = (
        "The payer could not pay yet: it finds no way that can carry the amount now "
        "(RouteNotFound); sending the invoice again in 3 s"
    )
    assert told in world.told.steps
    assert "Sending the invoice again" in world.told.steps


def test_payer_that_never_could_pay_is_quoted_at_the_deadline() -> None:
    world = World()
    for at in (1, 5, 12):
        world.at(at, world.says(NOT_YET))
    world.at(20, world.expire)
    outcome = world.run(timeout=20)
    assert_ends(world, outcome, ExitStatus.PAYER_ERROR, 20)
    assert outcome.error is not None
    assert outcome.error.data == {"error": "RouteNotFound"}
    assert "could not pay" in outcome.error.message
    assert world.copies_at == [0, 4, 11]


def test_payer_that_was_paying_until_the_deadline_has_not_refused() -> None:
    world = World()
    world.at(1, world.says(PAYING))
    world.at(50, world.expire)
    outcome = world.run(timeout=50)
    assert_ends(world, outcome, ExitStatus.TIMED_OUT, 50)
    assert outcome.error is not None
    assert "said that it was paying" in outcome.error.message
    assert world.copies_at == [0]
    assert "The payer is paying already" in world.told.steps


def test_answer_to_a_copy_that_nobody_sent_says_nothing() -> None:
    world = World()
    world.at(1, lambda: world.heard.append(Reply(bytes(32), REFUSED)))
    world.at(2, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 2)


# --- copies and their routes ---

HANGS = math.inf


def test_search_that_hangs_does_not_keep_the_deadline() -> None:
    """With TIMEOUT 8 a single send ended after 17 s: a connection for its second copy hung."""
    world = World(search_seconds=(0, HANGS))
    world.at(20, world.expire)
    assert_ends(world, world.run(timeout=20), ExitStatus.TIMED_OUT, 20)
    assert (len(world.searches), world.copies_at) == (2, [0])


def test_search_that_hangs_does_not_drown_a_refusal() -> None:
    world = World(search_seconds=(0, HANGS))
    world.at(10, world.says(REFUSED))
    assert_ends(world, world.run(), ExitStatus.PAYER_ERROR, 10)


def test_search_that_hangs_does_not_keep_a_payment_from_being_seen() -> None:
    world = World(search_seconds=(0, HANGS))
    world.at(10, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 10)


def test_search_that_hangs_when_the_payer_is_asked_again_keeps_nothing() -> None:
    world = World(search_seconds=(0, HANGS))
    world.at(1, world.says(NOT_YET))
    world.at(15, world.expire)
    assert_ends(world, world.run(timeout=15), ExitStatus.PAYER_ERROR, 15)


def test_copy_is_sent_when_its_slow_search_ends() -> None:
    world = World(search_seconds=(0, 9, 0))
    world.at(40, world.expire)
    world.run(timeout=40)
    assert world.copies_at == [0, 17, 33]


def test_slow_search_for_the_first_route_does_not_use_up_the_invoice() -> None:
    world = World(search_seconds=(9,))
    world.at(11, world.pay)
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.PAID, 11)
    assert outcome.known["expires_at"] == START + 19


def test_search_for_the_first_route_ends_with_timeout() -> None:
    """It went on for 180 s for each of 390 paths."""
    world = World(search_seconds=(170,))
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.NO_ROUTE, 10 + SEARCH_GRACE)
    assert world.lightningd.invoices == {}


def test_turn_is_waited_for_beyond_timeout() -> None:
    """It is our own pace: in a batch, others go first."""
    world = World(turn_seconds=(500,))
    world.at(505, world.pay)
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.PAID, 505)
    assert outcome.known["expires_at"] == START + 510


def test_turn_that_would_come_too_late_for_the_payer_is_not_taken() -> None:
    world = World(turn_seconds=(0, 20))
    world.at(30, world.expire)
    assert_ends(world, world.run(timeout=30), ExitStatus.TIMED_OUT, 30)
    assert world.copies_at == [0]
    # At 8, and not again at once.
    assert len(world.searches) == 3


@pytest.mark.parametrize("word", ["paid", "refused"])
def test_wait_for_a_turn_is_ended_by_what_is_heard(word: str) -> None:
    world = World(turn_seconds=(0, 60))
    world.at(30, world.pay if word == "paid" else world.says(REFUSED, 0))
    status = ExitStatus.PAID if word == "paid" else ExitStatus.PAYER_ERROR
    assert_ends(world, world.run(timeout=200), status, 30)
    assert world.copies_at == [0]


def test_copy_that_waited_for_others_instead_is_sent_after_them() -> None:
    world = World(early=[0.1, 0.2])
    world.at(1, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 1)
    assert world.early == []
    assert (len(world.copies_at), len(world.searches)) == (1, 1)


def two_ways() -> World:
    """The request leads to the payer by two introduction nodes."""
    world = World()
    world.lightningd.answers.update(fake_client.Network(peers=[PAYER, ROUTER]).answers())
    paths = b"".join(path(node_id(number)).encode() for number in (PAYER, ROUTER))
    changes = {fields.INVREQ_PATHS: paths, fields.INVREQ_PAYER_ID: node_id(PAYER)}
    world.run = partial(world.run, invreq=request_string(changes, sign=False))  # type: ignore[method-assign]
    return world


def disconnected() -> None:
    raise LightningdError("injectonionmessage: the peer is gone")


def test_route_that_does_not_take_the_copy_makes_room_for_the_next_one() -> None:
    world = two_ways()
    world.lightningd.before["injectonionmessage", 1] = disconnected
    world.at(1, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 1)
    assert [route.nodes[-1] for route in world.routes] == [node_id(PAYER), node_id(ROUTER)]
    assert len(world.followed.copies) == 1
    assert any("the peer is gone" in step for step in world.told.steps)


def test_next_copy_goes_another_way() -> None:
    world = two_ways()
    world.at(10, world.pay)
    world.run()
    assert [route.nodes[-1] for route in world.routes] == [node_id(PAYER), node_id(ROUTER)]


def test_network_is_looked_at_anew_when_no_route_takes_the_first_copy() -> None:
    world = World()
    world.lightningd.before["injectonionmessage", 1] = disconnected
    world.at(1, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 1)
    assert made(world, "listpeers") == 2


def test_invoice_that_no_route_takes_ends_with_no_route_and_is_known() -> None:
    world = World()
    for number in (1, 2, 3):
        world.lightningd.before["injectonionmessage", number] = disconnected
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.NO_ROUTE, 0)
    assert outcome.known["bolt12"]
    assert made(world, "injectonionmessage") == 2


def test_resumed_invoice_that_no_route_takes_is_waited_for_with_a_warning() -> None:
    world = World()
    leave_unpaid(world)
    world.lightningd.answers["listpeers"] = {"peers": []}
    world.at(30, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 30)
    assert any(text.startswith("no route to the payer") for text in world.told.warnings)


def test_later_copy_that_no_route_takes_is_left_out_with_a_warning() -> None:
    world = World()
    world.lightningd.before["injectonionmessage", 2] = disconnected
    world.at(90, world.expire)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.TIMED_OUT, 90)
    assert world.copies_at == [0, 24, 56]
    assert len(world.told.warnings) == 1


@pytest.mark.parametrize(
    "failure",
    [
        LightningdError("listnodes: no"),
        UnreachableError("gone"),
        {"nodes": [{"nodeid": "x", "alias": None}]},
        {"nodes": "nonsense"},
        {},
    ],
    ids=["refused", "lost", "nameless", "nonsense", "empty"],
)
def test_names_that_cannot_be_looked_up_do_not_end_what_was_sent(failure: Any) -> None:
    world = World()

    def spoil() -> None:
        world.lightningd.answers["listnodes"] = failure

    world.lightningd.after["listnodes", 1] = spoil
    world.at(1, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 1)
    assert world.told.steps[-1] == f"us → {node_id(PAYER).hex()[:16]}"
    assert world.copies_at == [0]


def test_names_are_not_asked_for_where_nobody_wants_them() -> None:
    world = World()
    world.told.wants_route = False
    world.at(1, world.pay)
    world.run()
    assert world.lightningd.log[-1] == "injectonionmessage"


# --- a lightningd that goes away ---

BEFORE_IT_IS_CREATED = ["listinvoices", "listpeerchannels", "listnodes", "listpeers", "wait"]
AFTER_IT_IS_CREATED = ["createinvoice", "createonion", "injectonionmessage"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", [*BEFORE_IT_IS_CREATED, *AFTER_IT_IS_CREATED])
def test_connection_that_breaks_at_a_step_costs_no_payment(method: str, when: str) -> None:
    world = World(away_seconds=2)
    plan = world.lightningd.before if when == "before" else world.lightningd.after
    plan[method, 1] = world.break_connection
    world.at(5, world.pay)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAID, 5)
    assert world.connection.lost_after == [0]
    assert len(world.lightningd.invoices) == 1
    # The first copy may be out: its answers count, too.
    assert len(world.followed.copies) == (2 if method == "injectonionmessage" else 1)


@pytest.mark.parametrize("method", BEFORE_IT_IS_CREATED)
def test_step_that_lightningd_never_survives_is_given_up_before_the_invoice(method: str) -> None:
    world = World()
    for number in range(1, 20):
        world.lightningd.before[method, number] = world.break_connection
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.UNREACHABLE, MAX_LOSSES - 1)
    assert made(world, method) == MAX_LOSSES
    assert world.lightningd.invoices == {}


@pytest.mark.parametrize("method", AFTER_IT_IS_CREATED)
def test_step_that_lightningd_never_survives_is_given_up_after_the_invoice(method: str) -> None:
    world = World()
    for number in range(1, 20):
        world.lightningd.before[method, number] = world.break_connection
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.OUTCOME_UNKNOWN, MAX_LOSSES - 1)
    assert made(world, method) == MAX_LOSSES


def test_lightningd_that_is_not_there_is_not_waited_for() -> None:
    world = World()
    world.lightningd.is_gone = True
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.UNREACHABLE, 0)
    assert world.connection.lost_after == []


@pytest.mark.parametrize("method", BEFORE_IT_IS_CREATED)
def test_lightningd_gone_for_good_before_the_invoice_ends_it_after_timeout(method: str) -> None:
    world = World(away_seconds=math.inf)
    world.lightningd.before[method, 1] = world.break_connection
    assert_ends(world, world.run(timeout=7), ExitStatus.UNREACHABLE, 7)


def test_lightningd_gone_for_good_while_the_helper_starts_ends_it_after_timeout() -> None:
    world = World(away_seconds=math.inf, helper_seconds=math.inf)
    world.at(3, world.go_away)
    assert_ends(world, world.run(timeout=7), ExitStatus.UNREACHABLE, 7)


@pytest.mark.parametrize("timeout", [5, 300])
@pytest.mark.parametrize("at", [0.5, 4.5])
def test_lightningd_gone_for_good_ends_each_row_at_its_own_deadline(
    timeout: int, at: float
) -> None:
    """A row of 5 s was reported when the longest row of its batch ended, after 296 s."""
    world = World(away_seconds=math.inf)
    world.at(at, world.go_away)
    outcome = world.run(timeout=timeout)
    # It is not back at the deadline, or when the next copy is due.
    assert_ends(world, outcome, ExitStatus.OUTCOME_UNKNOWN, timeout)
    assert outcome.known["bolt12"]


def test_lightningd_gone_for_good_after_createinvoice_may_have_made_one() -> None:
    world = World(away_seconds=math.inf)
    world.lightningd.after["createinvoice", 1] = world.break_connection
    outcome = world.run(timeout=7)
    assert_ends(world, outcome, ExitStatus.OUTCOME_UNKNOWN, 7)
    assert "bolt12" not in outcome.known


def test_lightningd_that_is_another_after_a_restart_is_asked_what_it_can() -> None:
    """Later copies went to a call that it did not have."""
    world = World()

    def help_(params: fake_client.Params) -> dict[str, Any]:
        if params["command"] == "injectonionmessage":
            raise LightningdError("help: unknown command")
        return {"help": [{"command": "sendonionmessage first_id blinding hops"}]}

    def restart() -> None:
        world.lightningd.answers |= {"help": help_, "sendonionmessage": {}}
        world.go_away()

    world.at(2, restart)
    world.at(20, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 20)
    assert made(world, "sendonionmessage") == 1


def test_lightningd_that_is_lost_in_the_last_word_is_waited_for_as_long_again() -> None:
    world = World(away_seconds=math.inf)
    world.at(15, world.go_away)
    assert_ends(world, world.run(timeout=10), ExitStatus.OUTCOME_UNKNOWN, 45)


def test_payment_while_lightningd_was_gone_past_the_deadline_is_found() -> None:
    world = World(away_seconds=9)
    world.at(6, world.go_away)
    world.at(7, world.pay_unheard)
    # Back at 15, after the deadline: the row is given up at 10, with 5 to come.
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.OUTCOME_UNKNOWN, 10)
    again = World()
    again.lightningd.invoices = world.lightningd.invoices
    assert again.run(timeout=10).exit_status is ExitStatus.PAID


@pytest.mark.parametrize("at", [6, 9])
def test_payment_is_found_at_the_deadline_although_lightningd_still_counts_as_gone(
    at: float,
) -> None:
    """The connection looks every 5 s, and a call that always fails has it lost again at once."""
    world = World(away_seconds=math.inf)
    world.at(5, lambda: world.connection.lose(UnreachableError("no waitinvoice"), 0))
    world.at(at, world.pay_unheard)
    assert_ends(world, world.run(timeout=10), ExitStatus.PAID, 10)


def test_lightningd_that_hung_before_the_deadline_is_not_asked_once_more() -> None:
    world = World(away_seconds=math.inf)
    world.at(5, lambda: world.connection.lose(NoAnswerError("no answer"), 0))
    outcome = world.run(timeout=10)
    assert_ends(world, outcome, ExitStatus.OUTCOME_UNKNOWN, 10)
    assert made(world, "listinvoices") == 1


def test_copies_wait_for_the_channels_after_a_return() -> None:
    """A payer that tries before they are back fails."""
    world = World(away_seconds=2, channels_seconds=10)
    world.at(7, world.go_away)
    world.at(25, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 25)
    assert world.copies_at == [0, 19]


def test_channels_that_do_not_come_back_keep_no_row_beyond_its_deadline() -> None:
    world = World(away_seconds=2, channels_seconds=1000)
    world.at(5, world.go_away)
    world.at(30, world.expire)
    assert_ends(world, world.run(timeout=30), ExitStatus.TIMED_OUT, 30)
    assert world.copies_at == [0]


def test_payment_is_seen_while_channels_come_back() -> None:
    world = World(away_seconds=2, channels_seconds=1000)
    world.at(7, world.go_away)
    world.at(15, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 15)


@pytest.mark.parametrize("channels_seconds", [0, 3])
def test_copy_whose_search_was_lost_with_lightningd_is_sent_after_the_return(
    channels_seconds: float,
) -> None:
    """The loss was noticed, and is over, when the row looks at how its search ended."""
    world = World(away_seconds=2, channels_seconds=channels_seconds, search_seconds=(0, 3, 0))
    world.at(9, world.go_away)
    world.at(20, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 20)
    assert world.copies_at == [0, 11 + channels_seconds]


def test_first_search_that_was_lost_with_lightningd_is_begun_again_after_the_return() -> None:
    world = World(away_seconds=2, channels_seconds=3, search_seconds=(3, 0))
    world.at(2, world.go_away)
    world.at(10, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 10)
    assert world.copies_at == [7]


def test_lost_answer_of_createinvoice_makes_no_second_invoice() -> None:
    world = World()
    world.lightningd.after["createinvoice", 1] = world.break_connection
    world.at(3, world.pay)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAID, 3)
    assert made(world, "createinvoice") == 2
    assert len(world.lightningd.invoices) == 1
    assert "Invoice created" in world.told.steps


def test_invoice_that_is_found_by_its_label_after_a_lost_answer_counts_as_ours() -> None:
    """No other command sent a copy of it: an unclear answer is final."""
    world = World()
    world.lightningd.after["createinvoice", 1] = world.break_connection
    world.at(3, world.says(UNCLEAR))
    assert_ends(world, world.run(), ExitStatus.PAYER_ERROR, 3)


def test_odd_field_that_lightningd_adds_to_the_invoice_is_warned_of() -> None:
    world = World()
    world.lightningd.changes = {161: b""}
    world.at(3, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 3)
    assert [each for each in world.told.warnings if "has added field 161 to the invoice" in each]


@pytest.mark.parametrize(
    ("note", "code", "status", "message"),
    [
        (
            "thanks\N{ZERO WIDTH SPACE}",
            -32602,
            ExitStatus.USAGE,
            "lightningd refuses to answer this request, which has U+200B ZERO WIDTH SPACE in "
            "invreq_payer_note",
        ),
        # It refuses for another reason: what it says, without the whole invoice.
        ("thanks", -32602, ExitStatus.ERROR, "createinvoice: invalid token 'lni1…'"),
        ("\N{ZERO WIDTH SPACE}", -1, ExitStatus.ERROR, "createinvoice: invalid token 'lni1…'"),
    ],
)
def test_request_that_lightningd_refuses_for_its_text_names_the_character(
    note: str, code: int, status: ExitStatus, message: str
) -> None:
    world = World()

    def refuse(params: Mapping[str, Any]) -> Mapping[str, Any]:
        text = f"createinvoice: invalid token '{params['invstring']}'"
        raise LightningdError(text, rpc_code=code)

    world.lightningd.answers["createinvoice"] = refuse
    changes = {fields.INVREQ_PAYER_ID: node_id(PAYER), fields.INVREQ_PAYER_NOTE: note.encode()}
    outcome = world.run(invreq=request_string(changes, sign=False))
    assert outcome.exit_status is status
    assert outcome.error is not None
    assert outcome.error.message == message
    assert world.copies_at == []


@pytest.mark.parametrize("hears", [False, True])
def test_message_has_a_reply_path_only_if_a_reply_can_be_heard(hears: bool) -> None:
    """BOLT 4: none, where the payer may not reply."""
    world = World()
    world.replies.hears = hears
    onions: list[Any] = []

    def create(params: Mapping[str, Any]) -> Mapping[str, Any]:
        onions.append(params["hops"])
        return {"onion": "00"}

    world.lightningd.answers["createonion"] = create
    world.at(3, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 3)
    ((*_, last),) = onions
    payload = bytes.fromhex(last["payload"])
    _, start = tlv.decode_bigsize(payload, 0)
    types = [record.type for record in tlv.decode_stream(payload[start:])]
    assert (message.REPLY_PATH in types) is hears
    assert message.INVOICE in types


def break_and_change(world: World) -> Callable[[], None]:
    """lightningd signs another expiry than asked for, and the answer is lost."""
    world.lightningd.changes = {fields.INVOICE_RELATIVE_EXPIRY: b"\x07"}
    return world.break_connection


def test_invoice_that_is_found_by_its_label_after_a_lost_answer_is_checked() -> None:
    world = World()
    world.lightningd.after["createinvoice", 1] = break_and_change(world)
    outcome = world.run()
    assert outcome.exit_status is ExitStatus.ERROR
    assert outcome.error is not None
    assert "a different invoice than it was given" in outcome.error.message
    assert "bolt12" not in outcome.known
    assert world.copies_at == []
    # Nobody has seen it: the label is free again.
    assert world.lightningd.invoices == {}


def test_other_invoice_than_asked_for_is_not_sent() -> None:
    world = World()
    break_and_change(world)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.ERROR, 0)
    assert (world.copies_at, world.lightningd.invoices) == ([], {})


def test_invoice_of_a_faster_command_is_resumed_and_stays() -> None:
    world = World()

    def be_faster() -> None:
        leave_unpaid(world)

    world.lightningd.before["createinvoice", 1] = be_faster
    world.at(1, world.says(UNCLEAR))
    world.at(3, world.pay)
    assert_ends(world, world.run(), ExitStatus.PAID, 3)
    assert world.followed.is_resumed


def test_answer_to_a_copy_whose_call_was_lost_counts() -> None:
    world = World(away_seconds=2)
    world.lightningd.after["injectonionmessage", 1] = world.break_connection
    world.at(1, world.says(REFUSED, 0))
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.PAYER_ERROR, 2)


# --- interruptions and surprises ---


def signal_(kind: type[InterruptedBySignalError]) -> Callable[[], None]:
    def raise_() -> None:
        raise Interruption(kind("interrupted"))

    return raise_


KINDS = pytest.mark.parametrize(
    ("kind", "status"),
    [
        (InterruptedBySignalError, ExitStatus.INTERRUPTED),
        (TerminatedBySignalError, ExitStatus.TERMINATED),
    ],
)


@KINDS
def test_interruption_says_what_may_still_be_paid(
    kind: type[InterruptedBySignalError], status: ExitStatus
) -> None:
    world = World()
    world.at(3, signal_(kind))
    outcome = world.run()
    assert_ends(world, outcome, status, 3)
    assert outcome.error is not None
    assert "may still be paid until" in outcome.error.message
    assert outcome.error.data == {"invstring": outcome.known["bolt12"]}


@KINDS
def test_interruption_before_the_invoice_says_that_nothing_was_sent(
    kind: type[InterruptedBySignalError], status: ExitStatus
) -> None:
    world = World(turn_seconds=(10,))
    world.at(3, signal_(kind))
    outcome = world.run()
    assert_ends(world, outcome, status, 3)
    assert outcome.error is not None
    assert "was not sent" in outcome.error.message


def test_interruption_while_names_are_looked_up_is_not_swallowed() -> None:
    world = World()
    interruption = Interruption(InterruptedBySignalError("interrupted"))

    def spoil() -> None:
        world.lightningd.answers["listnodes"] = interruption

    world.lightningd.after["listnodes", 1] = spoil
    assert_ends(world, world.run(), ExitStatus.INTERRUPTED, 0)


def test_interruption_after_the_payment_is_a_payment() -> None:
    world = World()

    def pay_and_interrupt() -> None:
        world.followed.learn(world.lightningd.pay())
        raise Interruption(InterruptedBySignalError("interrupted"))

    world.at(3, pay_and_interrupt)
    assert_ends(world, world.run(), ExitStatus.PAID, 3)


def test_surprise_is_an_error_with_what_is_known() -> None:
    world = World()

    def surprise() -> None:
        raise KeyError("status")

    world.at(3, surprise)
    outcome = world.run()
    assert_ends(world, outcome, ExitStatus.ERROR, 3)
    assert outcome.error is not None
    assert "unexpected error: KeyError" in outcome.error.message
    assert outcome.known["bolt12"]


def test_blocking_host_that_suspends_is_found_out() -> None:
    with pytest.raises(RuntimeError, match="may not suspend"):
        run_blocking(asyncio.sleep(0))


def test_route_to_a_payer_behind_another_node_does_not_end_with_that_node() -> None:
    """``us → node 2`` looked as if node 2 were the payer."""
    world = World()
    world.at(1, world.pay)
    hidden = path(node_id(PAYER), hops=2)
    world.run(invreq=request_string({fields.INVREQ_PATHS: hidden.encode()}, sign=False))
    assert world.told.steps[-1] == "us → node 2 → the payer (hidden)"


# --- another amount than the payer offers ---


@pytest.mark.parametrize(
    ("amount_msat", "told"),
    [
        (3_600, "asking for 3.6 sat, but the payer offers 100 sat: 96.4 sat may be lost"),
        (100_001, "asking for 100.001 sat, but the payer offers 100 sat: payers refuse"),
    ],
)
def test_another_amount_is_warned_of_even_if_quiet(amount_msat: int, told: str) -> None:
    world = World()
    world.run(amount_msat=amount_msat)
    (warning,) = world.told.must_see
    assert warning.startswith(told)
    assert "without --amount-msat" in warning


def test_the_amount_that_is_offered_is_not_warned_of() -> None:
    world = World()
    world.run(amount_msat=100_000)
    assert world.told.must_see == []


# --- what programs are told ---


def test_outcome_has_what_was_warned_of_each_warning_once() -> None:
    """Copies that no route takes are warned of one by one, for as long as TIMEOUT."""
    world = World()
    world.lightningd.after["injectonionmessage", 1] = lambda: world.lightningd.answers.update(
        injectonionmessage=LightningdError("no way")
    )
    outcome = world.run(amount_msat=3_600, timeout=600)
    assert len(world.told.warnings) > 2
    first, second = outcome.warnings
    assert first.startswith("asking for 3.6 sat")
    assert second.startswith("no route to the payer")


def test_outcome_tells_when_it_ended() -> None:
    world = World()
    world.at(7.5, world.pay)
    result = world.run().as_json()
    assert result["status"] == "paid"
    assert result["ended_at"] == START + 7


@pytest.mark.parametrize("dry_run", [False, True])
def test_status_is_null_while_there_is_no_invoice(dry_run: bool) -> None:
    world = World()
    world.lightningd.answers["getinfo"] = LightningdError("no")
    result = world.run(dry_run=dry_run).as_json()
    assert result["exit_code"] == 1
    assert result["status"] is None
    assert result["request"]["payer_id"] == node_id(PAYER).hex()


def test_an_amount_that_must_match_creates_nothing() -> None:
    world = World()
    outcome = world.run(amount_msat=3_600, must_match=True)
    assert outcome.exit_status is ExitStatus.USAGE
    assert world.lightningd.log == []
