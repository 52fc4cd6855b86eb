"""Every rule of waiting, as timelines: what is due when, in seconds from the invoice's creation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from sendinvoice_cli.answering.copies import Copies
from sendinvoice_cli.answering.waiting import Due, Sleep, Waiting, interval
from sendinvoice_cli.bolt12.invoice_error import InvoiceError
from sendinvoice_cli.bolt12.verdict import Verdict
from sendinvoice_cli.node.invoices import StoredInvoice
from sendinvoice_cli.node.ways.routes import Route
from tests.support.requests_builder import node_id

#: When the invoice is created, UNIX seconds.
START = 1_800_000_000
ROUTE = Route((node_id(1), node_id(2)))

#: What a payer says, by what it means.
WORDS = {
    Verdict.REFUSED: InvoiceError("too much", erroneous_field=170),
    Verdict.IN_PROGRESS: InvoiceError("DuplicatePayment"),
    Verdict.GAVE_UP: InvoiceError("RouteNotFound", has_length=True),
    Verdict.NOT_YET: InvoiceError("RouteNotFound"),
    Verdict.UNCLEAR: InvoiceError("the moon is full"),
}
REFUSED, IN_PROGRESS, GAVE_UP, NOT_YET, UNCLEAR = WORDS
#: Numbers of copies.
FIRST, SECOND = 0, 1


@dataclass(frozen=True)
class Says:
    """The payer replies to a copy.

    :param at: seconds from the start.
    :param copy: its number, 0 for the first; -1 for the last one sent by then.
    """

    at: float
    verdict: Verdict
    copy: int = -1


@dataclass(frozen=True)
class Becomes:
    """lightningd tells that the invoice has another status."""

    at: float
    status: str


Happening = Says | Becomes


def stored(expires_in: int, status: str = "unpaid") -> StoredInvoice:
    return StoredInvoice({"label": "a", "status": status, "expires_at": START + expires_in})


def timeline(
    timeout: int,
    happenings: Sequence[Happening] = (),
    *,
    sent_before: bool = False,
    copy_takes: float = 0,
    first_at: float = 0,
) -> list[tuple[float, str]]:
    """All that is due until the end: seconds from the start, and what.

    :param copy_takes: seconds from when a copy is due until it is sent.
    :param first_at: seconds from the creation until the wait begins.
    """
    copies = Copies()
    invoice = stored(timeout)
    now = first_at
    waiting = Waiting(START + now, sent_before=sent_before)
    left = sorted(happenings, key=lambda each: each.at)
    done: list[tuple[float, str]] = []
    while True:
        while left and left[0].at <= now:
            happening = left.pop(0)
            if isinstance(happening, Becomes):
                invoice = stored(timeout, happening.status)
                continue
            path_id = copies.path_ids[happening.copy]
            replied = copies.reply(path_id, WORDS[happening.verdict])
            assert replied is not None
            assert replied.verdict is happening.verdict
            waiting.heard(replied.verdict, START + now)
        step = waiting.next(invoice, copies, START + now)
        if step is Due.COPY:
            done.append((now, "copy"))
            now += copy_takes
            copies.begin(ROUTE)
            waiting.copy_ended(START + now)
        elif step is Due.STATE:
            done.append((now, "state"))
            waiting.state_read(START + now)
        elif step is Due.END:
            done.append((now, "end"))
            return done
        else:
            assert isinstance(step, Sleep)
            assert step.until > START + now, "it does not wait, and does nothing"
            now = min(step.until - START, left[0].at if left else math.inf)


def copies_at(
    timeout: int,
    happenings: Sequence[Happening] = (),
    *,
    copy_takes: float = 0,
    first_at: float = 0,
) -> list[float]:
    """When copies are due."""
    done = timeline(timeout, happenings, copy_takes=copy_takes, first_at=first_at)
    return [at for at, what in done if what == "copy"]


def end(of: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """The end, and what comes right before it unless that is a copy."""
    return [each for each in of[-2:] if each[1] != "copy"]


# --- when copies are due ---


@pytest.mark.parametrize(
    ("timeout", "due"),
    [
        (90, [0, 8, 24, 56]),
        (400, [0, 8, 24, 56, 116, 176, 236, 296, 356]),
        # None in the last 5 seconds: the payer could not pay in time.
        (13, [0]),
        (14, [0, 8]),
        (29, [0, 8]),
        (30, [0, 8, 24]),
        # The first one always, even though it comes late.
        (1, [0]),
        (5, [0]),
        (6, [0]),
    ],
)
def test_silence_draws_copies_at_growing_intervals(timeout: int, due: list[float]) -> None:
    assert copies_at(timeout) == due


def test_interval_runs_from_when_a_copy_is_sent_not_from_when_it_was_due() -> None:
    assert copies_at(90, copy_takes=5) == [0, 13, 34, 71]


@pytest.mark.parametrize("first_at", [85, 86, 89])
def test_first_copy_of_a_wait_that_begins_late_is_sent_all_the_same(first_at: float) -> None:
    assert copies_at(90, first_at=first_at) == [first_at]


def test_copy_that_is_on_its_way_at_the_deadline_is_given_up_for_the_state() -> None:
    waiting = Waiting(START, sent_before=False)
    assert waiting.next(stored(8), Copies(), START + 7.9) is Due.COPY
    assert waiting.next(stored(8), Copies(), START + 8) is Due.STATE


def test_copy_that_waits_for_its_turn_stays_due() -> None:
    waiting = Waiting(START, sent_before=False)
    assert [waiting.next(stored(90), Copies(), START + at) for at in (0, 3, 50)] == [Due.COPY] * 3


# --- "I could not pay yet" ---


def every_copy(verdict: Verdict, after: float, number: int) -> list[Happening]:
    """The payer replies to each of so many copies, a while after the first, and then at once.

    The times are looked up by sending copies until no more come.
    """
    found: list[Happening] = []
    while len(found) < number:
        due = copies_at(10_000, found)
        found.append(Says(due[len(found)] + after, verdict, len(found)))
    return found


def test_same_invoice_is_sent_again_less_and_less_often_while_the_payer_cannot_pay() -> None:
    due = copies_at(400, every_copy(NOT_YET, 0.5, 8))
    pauses = [later - earlier - 0.5 for earlier, later in pairwise(due)]
    assert pauses[:8] == [3, 6, 12, 24, 48, 60, 60, 60]


def test_retry_that_nobody_answers_is_a_copy_like_any_other() -> None:
    assert copies_at(90, [Says(1, NOT_YET)]) == [0, 4, 20, 52]


def test_failed_attempts_count_though_silence_lies_between_them() -> None:
    assert copies_at(90, [Says(1, NOT_YET), Says(21, NOT_YET)]) == [0, 4, 20, 27]


@pytest.mark.parametrize(("at", "due"), [(81, [84]), (82, []), (89, [])])
def test_retry_is_no_exception_from_the_last_seconds(at: float, due: list[float]) -> None:
    assert [each for each in copies_at(90, [Says(at, NOT_YET)]) if each > at] == due


def test_time_of_the_retry_is_told_for_a_failed_attempt_only() -> None:
    waiting = Waiting(START, sent_before=False)
    verdicts = (NOT_YET, IN_PROGRESS, REFUSED, GAVE_UP, UNCLEAR)
    told = [waiting.heard(each, START + 1) for each in verdicts]
    assert told == [START + 4, None, None, None, None]
    assert waiting.heard(NOT_YET, START + 5) == START + 11


# --- "I am paying" ---


@pytest.mark.parametrize(
    ("happenings", "due"),
    [
        ([Says(1, IN_PROGRESS)], [0, 71, 87]),
        ([Says(9, IN_PROGRESS), Says(30, IN_PROGRESS, FIRST)], [0, 8, 100]),
        # It was another attempt that failed, or this one: it is over.
        ([Says(9, IN_PROGRESS), Says(20, NOT_YET, FIRST)], [0, 8, 23, 55]),
        ([Says(9, NOT_YET), Says(10, IN_PROGRESS, FIRST)], [0, 8, 80, 112]),
    ],
)
def test_no_copy_while_an_attempt_is_in_progress(
    happenings: list[Happening], due: list[float]
) -> None:
    assert copies_at(120, happenings) == due


def test_attempt_in_progress_never_ends_the_wait_before_the_deadline() -> None:
    assert timeline(90, [Says(1, IN_PROGRESS), Becomes(90, "expired")]) == [
        (0, "copy"),
        (71, "copy"),
        (90, "end"),
    ]


# --- which replies are final ---


@pytest.mark.parametrize("sent_before", [False, True])
@pytest.mark.parametrize(
    "others",
    [
        [],
        [Says(9, IN_PROGRESS, FIRST)],
        [Says(9, NOT_YET, FIRST)],
        [Says(9, UNCLEAR, FIRST)],
    ],
)
def test_refused_invoice_ends_the_wait_at_once_whatever_other_copies_say(
    others: list[Happening], sent_before: bool
) -> None:
    happenings = [*others, Says(10, REFUSED, FIRST if not others else SECOND)]
    assert timeline(90, happenings, sent_before=sent_before)[-2:] == [(10, "state"), (10, "end")]


def test_refusal_stays_final_though_another_copy_has_its_reply_before_the_state_is_read() -> None:
    happenings = [Says(10, REFUSED, FIRST), Says(10, IN_PROGRESS, SECOND)]
    assert timeline(90, happenings)[-2:] == [(10, "state"), (10, "end")]


@pytest.mark.parametrize(
    ("replies", "is_final"),
    [
        ([UNCLEAR], True),
        ([UNCLEAR, UNCLEAR], True),
        ([NOT_YET, UNCLEAR], True),
        ([None, UNCLEAR], False),
        ([UNCLEAR, None], False),
        # It may be paid by the copy that is in progress.
        ([IN_PROGRESS, UNCLEAR], False),
        ([UNCLEAR, IN_PROGRESS], False),
        # It will be asked again.
        ([UNCLEAR, NOT_YET], False),
        ([NOT_YET, NOT_YET], False),
        ([None, None], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("sent_before", [False, True])
def test_unclear_reply_is_final_only_once_every_copy_has_its_reply_and_all_were_ours(
    replies: list[Verdict | None], is_final: bool, sent_before: bool
) -> None:
    copies = Copies()
    path_ids = [copies.begin(ROUTE) for _ in replies]
    for path_id, verdict in zip(path_ids, replies, strict=True):
        if verdict is not None:
            copies.reply(path_id, WORDS[verdict])
    waiting = Waiting(START, sent_before=sent_before)
    assert waiting.is_final(copies) is (is_final and not sent_before)


def test_copy_of_which_lightningd_never_said_whether_it_is_out_may_be_paid() -> None:
    copies = Copies()
    copies.begin(ROUTE)
    replied = copies.begin(ROUTE)
    copies.reply(replied, WORDS[UNCLEAR])
    assert not Waiting(START, sent_before=False).is_final(copies)


# --- the state is read last ---


@pytest.mark.parametrize("verdict", [REFUSED, GAVE_UP, UNCLEAR])
@pytest.mark.parametrize("at", [1, 89, 90.5, 100, 119.5])
def test_state_is_read_after_the_reply_that_ends_the_wait(verdict: Verdict, at: float) -> None:
    """A payment beats every reply; after the deadline, too, where the state was read before."""
    happenings = [Says(at, verdict, copy) for copy in range(4) if at > 60 or copy == 0]
    assert end(timeline(90, happenings)) == [(at, "state"), (at, "end")]


@pytest.mark.parametrize("status", ["paid", "expired"])
@pytest.mark.parametrize("at", [0.5, 89, 90, 95])
def test_invoice_that_is_closed_ends_the_wait_at_once(status: str, at: float) -> None:
    assert timeline(90, [Becomes(at, status)])[-1] == (at, "end")


def test_payment_that_is_told_together_with_a_refusal_ends_the_wait() -> None:
    assert timeline(90, [Becomes(1, "paid"), Says(1, REFUSED)]) == [(0, "copy"), (1, "end")]


# --- the last word ---


def test_state_is_looked_at_every_second_for_30_seconds_after_the_deadline() -> None:
    after = [each for each in timeline(13) if each[0] >= 13]
    assert after == [*((13.0 + at, "state") for at in range(30)), (43, "end")]


def test_last_word_is_waited_for_from_when_the_deadline_is_seen() -> None:
    """As on a machine that slept past it."""
    waiting = Waiting(START, sent_before=False)
    invoice, copies, late = stored(90), Copies(), START + 1000
    assert waiting.next(invoice, copies, late) is Due.STATE
    waiting.state_read(late)
    assert waiting.next(invoice, copies, late) == Sleep(late + 1)
    assert waiting.next(invoice, copies, late + 29.9) is Due.STATE
    assert waiting.next(invoice, copies, late + 30) is Due.END


def test_state_that_takes_long_to_read_is_not_read_twice_in_a_row() -> None:
    waiting = Waiting(START, sent_before=False)
    invoice, copies = stored(90), Copies()
    assert waiting.next(invoice, copies, START + 90) is Due.STATE
    waiting.state_read(START + 119.5)
    # The last sleep does not go past the end.
    assert waiting.next(invoice, copies, START + 119.5) == Sleep(START + 120)


@pytest.mark.parametrize("verdict", [NOT_YET, IN_PROGRESS])
def test_no_copy_is_sent_after_the_deadline_whatever_the_payer_says(verdict: Verdict) -> None:
    assert copies_at(13, [Says(14, verdict)]) == [0]


# --- a lightningd that is gone ---


@pytest.mark.parametrize(("number", "seconds"), [(0, 1), (2, 3), (3, 3), (99, 3)])
def test_last_interval_goes_on(number: int, seconds: float) -> None:
    assert interval((1, 2, 3), number) == seconds
