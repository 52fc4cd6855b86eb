"""The one deadline of a request; times are seconds."""

from __future__ import annotations

import pytest

from sendinvoice_cli.answering.deadline import LAST_WORD_SECONDS, Deadline
from tests.support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_it_is_timeout_after_the_first_step_and_then_the_invoices_expiry(
    clock: ManualClock,
) -> None:
    begun = clock()
    deadline = Deadline(clock, 10)
    clock.advance(4)
    assert deadline.seconds_left == 6
    deadline.restart()
    assert (deadline.at, deadline.is_of_invoice) == (begun + 14, False)
    deadline.follow(int(begun) + 50)
    assert (deadline.at, deadline.is_of_invoice) == (int(begun) + 50, True)
    assert deadline.first_at == begun + 10


def test_it_is_over_when_it_has_come(clock: ManualClock) -> None:
    deadline = Deadline(clock, 10)
    clock.advance(9.75)
    assert (deadline.is_over, deadline.seconds_left) == (False, 0.25)
    clock.advance(0.25)
    assert (deadline.is_over, deadline.seconds_left) == (True, 0)
    clock.advance(5)
    assert deadline.seconds_left == 0


@pytest.mark.parametrize(
    ("since", "until"),
    [(5, 10), (9.9, 10), (10, 10 + LAST_WORD_SECONDS), (12, 12 + LAST_WORD_SECONDS)],
)
def test_lightningd_that_does_not_answer_is_given_up_at_the_deadline_or_after_the_last_word(
    clock: ManualClock, since: float, until: float
) -> None:
    deadline = Deadline(clock, 10)
    assert deadline.give_up_at(clock() + since) == clock() + until
