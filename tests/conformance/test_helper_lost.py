"""The reply helper dies, or is stopped, while a command waits: it is started again, once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from sendinvoice_cli.errors import ExitStatus
from tests.networks import Network, finish, timed, wait_for
from tests.networks.runs import paid_msat, read_until
from tests.networks.timed import PAYER, RECEIVER, TimedNetwork
from tests.support.schema import check_paid

from .conftest import HELPER, in_both_ways

pytestmark = in_both_ways

Start = Callable[..., Popen[str]]

AMOUNT_MSAT = 2_000
REPLIES = "sendinvoice-replies"

newest = pytest.mark.parametrize("network", ["v26.06", "lightningd"], indirect=True)


def stop(network: Network) -> None:
    """What an operator does."""
    (path,) = network.receiver.plugins(HELPER)
    network.receiver.rpc("plugin", subcommand="stop", plugin=path)


def kill(network: Network) -> None:
    """What happens when memory is short."""
    for process in psutil.Process().children(recursive=True):
        is_helper = any(Path(part).name == HELPER for part in process.cmdline())
        if is_helper and Path(process.cwd()).is_relative_to(network.receiver.lightning_dir):
            process.kill()
            return
    raise LookupError("no helper")


@newest
@pytest.mark.parametrize("lose", [stop, kill])
def test_helper_is_lost_twice(
    network: Network, label: str, start: Start, lose: Callable[[Network], None]
) -> None:
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        first = start("--json", "-v", request, label)
        wait_for(mailbox.invoices, "the invoice at the payer")
        wait_for(lambda: network.receiver.plugins(HELPER), "the helper")
        lose(network)
        read_until(first, re.compile(f"call {REPLIES} .*failed"))
        read_until(first, re.compile(r"call sendinvoice-expect \([0-9.]+ ms\)$"))
        assert network.receiver.plugins(HELPER)
        lose(network)
        warning = read_until(first, re.compile("cannot hear the payer's answers"))
        assert "warning: " in warning
        assert network.receiver.plugins(HELPER) == []
        assert first.poll() is None

    second = network.run("--json", "--no-replies", request, label)
    result = finish(first)

    assert (second.exit, result.exit) == (0, 0), result
    check_paid(result.json)
    assert network.receiver.plugins(HELPER) == []
    assert paid_msat(network, request) == [AMOUNT_MSAT]


def waiting(still: TimedNetwork, timeout: int = 90) -> timed.Run:
    """A command that has sent the invoice, and waits for replies."""
    command = still.run(still.sandbox.request(PAYER, AMOUNT_MSAT), timeout=timeout)
    timed.wait_for(lambda: command.is_waiting, "the wait for answers")
    return command


def stop_helper(still: TimedNetwork) -> None:
    still.sandbox.call(RECEIVER, "plugin", subcommand="stop", plugin=HELPER)


def test_reply_after_the_loss_is_heard(still: TimedNetwork) -> None:
    """It is about a copy that the lost helper knew of."""
    still.sandbox.faults.delay_message(seconds=6, at=PAYER)
    still.sandbox.faults.refuse(PAYER, "not this one")
    command = waiting(still, timeout=12)

    stop_helper(still)
    timed.wait_for(lambda: len(command.client.made(REPLIES)) == 2, "another wait")
    still.clock.advance(6)

    outcome = command.outcome()
    assert outcome.exit_status == ExitStatus.PAYER_ERROR
    assert command.told.warnings == []


def test_helper_that_cannot_be_started_again_is_given_up(still: TimedNetwork) -> None:
    hold = still.sandbox.faults.hold_payments(PAYER)
    command = waiting(still)
    still.await_arrival(1)
    still.sandbox.faults.refuse_plugins(RECEIVER, -3, "no plugins here")

    stop_helper(still)
    timed.wait_for(lambda: command.told.warnings, "a warning")
    command.skip_wait()
    still.await_arrival(2)
    assert not command.is_over
    hold.release()

    outcome = command.outcome()
    assert outcome.exit_status == ExitStatus.PAID
    assert len(command.told.warnings) == 1
    assert "no plugins here" in command.told.warnings[0]


def test_helper_that_is_lost_before_another_copy_is_started_for_it(still: TimedNetwork) -> None:
    """Whether the loss or the copy comes first, replies are heard again."""
    still.sandbox.faults.be_silent(PAYER)
    command = waiting(still, timeout=20)
    still.await_arrival(1)

    def stop_first(method: str) -> None:
        if method == "sendinvoice-expect" and still.helpers() and len(lost) == 0:
            lost.append(method)
            stop_helper(still)

    lost: list[str] = []
    command.client.before_call = stop_first
    still.sandbox.faults.behave(PAYER)
    still.sandbox.faults.refuse(PAYER, "not this one")
    command.skip_wait()
    timed.wait_for(lambda: len(command.client.made(REPLIES)) == 3, "the answer to be heard")
    outcome = command.outcome_in_time()

    assert len(lost) == 1
    assert outcome.exit_status == ExitStatus.PAYER_ERROR
    assert outcome.known["status"] == "expired"
