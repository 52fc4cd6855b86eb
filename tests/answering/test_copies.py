from __future__ import annotations

import pytest

from sendinvoice_cli.answering.copies import Copies
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.bolt12.verdict import Verdict
from sendinvoice_cli.node.ways.routes import Route
from tests.support.requests_builder import node_id

ROUTE = Route((node_id(1), node_id(2)))
OTHER_ROUTE = Route((node_id(1), node_id(3), node_id(2)))

REFUSED = InvoiceError("too much", erroneous_field=170)
PAYING = InvoiceError("DuplicatePayment")
NOT_YET = InvoiceError("RouteNotFound")
GAVE_UP = InvoiceError("RouteNotFound", has_length=True)
UNCLEAR = InvoiceError("the moon is full")


def said(copies: Copies) -> InvoiceError | None:
    """What the payer said last, as far as it is worth telling."""
    return None if copies.last_words is None else copies.last_words.error


def test_copy_is_known_before_it_is_sent_so_that_no_reply_is_too_fast() -> None:
    copies = Copies()
    path_id = copies.begin(ROUTE)
    assert path_id in copies
    assert (len(copies), len(path_id)) == (1, 32)
    replied = copies.reply(path_id, REFUSED)
    assert replied is not None
    assert replied.verdict is Verdict.REFUSED


def test_no_two_copies_share_a_path_id() -> None:
    copies = Copies()
    path_ids = [copies.begin(ROUTE) for _ in range(5)]
    assert len(set(path_ids)) == 5
    assert copies.path_ids == tuple(path_ids)


def test_routes_are_those_of_the_copies_that_are_out() -> None:
    copies = Copies()
    copies.begin(ROUTE)
    withdrawn = copies.begin(ROUTE)
    copies.begin(OTHER_ROUTE)
    copies.withdraw(withdrawn)
    assert copies.routes == [ROUTE, OTHER_ROUTE]


def test_withdrawn_copy_is_not_waited_for() -> None:
    copies = Copies()
    withdrawn, sent = copies.begin(ROUTE), copies.begin(ROUTE)
    copies.withdraw(withdrawn)
    copies.reply(sent, UNCLEAR)
    assert withdrawn not in copies
    assert len(copies) == 1
    assert copies.have_all_failed


@pytest.mark.parametrize("error", [REFUSED, PAYING, NOT_YET, UNCLEAR])
def test_reply_to_an_unknown_copy_says_nothing(error: InvoiceError) -> None:
    copies = Copies()
    copies.begin(ROUTE)
    assert copies.reply(bytes(32), error) is None
    assert (copies.last_words, copies.is_declined, copies.have_all_failed) == (None, False, False)


@pytest.mark.parametrize(
    ("replies", "last_words"),
    [
        ([], None),
        ([PAYING], None),
        ([NOT_YET, PAYING], NOT_YET),
        ([NOT_YET, UNCLEAR], UNCLEAR),
        ([UNCLEAR, REFUSED, PAYING], REFUSED),
    ],
)
def test_last_words_are_those_that_say_why_it_was_not_paid(
    replies: list[InvoiceError], last_words: InvoiceError | None
) -> None:
    copies = Copies()
    for error in replies:
        copies.reply(copies.begin(ROUTE), error)
    assert said(copies) == last_words


@pytest.mark.parametrize("final", [REFUSED, GAVE_UP])
@pytest.mark.parametrize("later", [PAYING, NOT_YET, UNCLEAR])
def test_final_reply_is_not_outweighed_by_replies_to_other_copies(
    final: InvoiceError, later: InvoiceError
) -> None:
    copies = Copies()
    rejected, other = copies.begin(ROUTE), copies.begin(ROUTE)
    copies.reply(rejected, final)
    assert copies.is_declined
    copies.reply(other, later)
    assert copies.is_declined


def test_copy_that_may_be_out_keeps_an_unclear_reply_from_being_final() -> None:
    """Whether lightningd has confirmed that it sent the message makes no difference."""
    copies = Copies()
    replied, _ = copies.begin(ROUTE), copies.begin(ROUTE)
    copies.reply(replied, UNCLEAR)
    assert not copies.have_all_failed


def test_no_copy_at_all_is_no_refusal() -> None:
    assert not Copies().have_all_failed


@pytest.mark.parametrize(
    ("replies", "is_being_paid"),
    [([], False), ([PAYING], True), ([PAYING, NOT_YET], False), ([UNCLEAR, PAYING], True)],
)
def test_payer_is_paying_when_it_said_so_last(
    replies: list[InvoiceError], is_being_paid: bool
) -> None:
    copies = Copies()
    for error in replies:
        copies.reply(copies.begin(ROUTE), error)
    assert copies.is_being_paid is is_being_paid


@pytest.mark.parametrize("again", [REFUSED, PAYING, NOT_YET])
def test_second_reply_to_the_same_copy_says_nothing(again: InvoiceError) -> None:
    copies = Copies()
    path_id = copies.begin(ROUTE)
    copies.reply(path_id, UNCLEAR)
    assert copies.reply(path_id, again) is None
    assert (said(copies), copies.is_declined, copies.have_all_failed) == (UNCLEAR, False, True)
