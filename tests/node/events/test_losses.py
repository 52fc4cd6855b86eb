"""The policy of losses: how many, within what time, and the pauses between."""

from __future__ import annotations

import pytest

from sendinvoice_cli.node.events.losses import MAX_LOSSES, PAUSES, WINDOW_SECONDS, Losses
from tests.support.manual_clock import ManualClock


def noted(*seconds: float) -> Losses:
    """Losses that were met at these times."""
    clock = ManualClock()
    start = clock()
    losses = Losses(clock)
    for at in seconds:
        clock.advance(start + at - clock())
        losses.note()
    return losses


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        ((), 0),
        ((0,), 1),
        ((0, WINDOW_SECONDS - 1), 2),
        ((0, WINDOW_SECONDS), 1),
        ((0, 300, WINDOW_SECONDS, 800), 3),
    ],
)
def test_only_those_of_the_window_count(seconds: tuple[float, ...], count: int) -> None:
    assert noted(*seconds).count == count


@pytest.mark.parametrize(("number", "is_enough"), [(MAX_LOSSES - 1, False), (MAX_LOSSES, True)])
def test_they_are_too_many_within_the_window(number: int, is_enough: bool) -> None:
    assert noted(*range(number)).are_too_many is is_enough


def test_too_many_are_forgotten_when_asked_to() -> None:
    losses = noted(*range(MAX_LOSSES))
    losses.forget()
    assert (losses.count, losses.are_too_many) == (0, False)


def test_pauses_grow_with_attempts_and_with_losses() -> None:
    losses = noted(0)
    assert [losses.pause(attempt) for attempt in range(len(PAUSES) + 1)] == [*PAUSES, PAUSES[-1]]
    losses.note()
    assert losses.pause() == PAUSES[1]
    assert noted(*range(99)).pause() == PAUSES[-1]
