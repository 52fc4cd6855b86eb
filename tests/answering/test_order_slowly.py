"""The order of steps over a lightningd that never answers a call, and answers all others."""

from __future__ import annotations

import pytest

from sendinvoice_cli.errors import ExitStatus
from sendinvoice_cli.node.rpc.client import CALL_SECONDS, NoAnswerError
from tests.support.scripted import World


def hang(world: World, method: str) -> None:
    """Have all calls of a method hang."""

    def time_out() -> None:
        world.take(world.lightningd.patience[method] or 0)
        raise NoAnswerError(f"lightningd did not answer {method}")

    for number in range(1, 20):
        world.lightningd.before[method, number] = time_out


@pytest.mark.parametrize("timeout", [10, 90])
@pytest.mark.parametrize(
    "method", ["listinvoices", "listpeerchannels", "listpeers", "createinvoice"]
)
def test_call_that_is_never_answered_is_given_up_after_timeout(method: str, timeout: int) -> None:
    """It was made 5 times, which took 150 s."""
    world = World()
    hang(world, method)
    outcome = world.run(timeout=timeout)
    is_unknown = method == "createinvoice"
    assert outcome.exit_status is (
        ExitStatus.OUTCOME_UNKNOWN if is_unknown else ExitStatus.UNREACHABLE
    )
    assert world.seconds <= (timeout if is_unknown else max(timeout + 3, CALL_SECONDS))


def test_last_word_that_is_never_answered_is_given_up() -> None:
    world = World()

    world.at(5, lambda: hang(world, "listinvoices"))
    outcome = world.run(timeout=10)
    assert outcome.exit_status is ExitStatus.OUTCOME_UNKNOWN
    assert world.seconds <= 10 + CALL_SECONDS
    assert outcome.known["bolt12"]
