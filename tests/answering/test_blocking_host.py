"""The host of a single send, over answers from a table. The order is in test_order.py."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sendinvoice_cli.answering.blocking_host import Events, Wait, send, wait_in_real_time
from sendinvoice_cli.cli import command as cli
from sendinvoice_cli.errors import (
    ExitStatus,
    InterruptedBySignalError,
    TerminatedBySignalError,
)
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.outcome import Outcome
from sendinvoice_cli.render.batch import BatchReport
from sendinvoice_cli.render.lines import Log
from sendinvoice_cli.render.progress import PlainProgress
from sendinvoice_cli.render.spool import Spool
from sendinvoice_cli.render.streams import Streams
from sendinvoice_cli.reporting import Progress
from sendinvoice_cli.request import Request
from sendinvoice_cli.signals import Interruption
from tests.networks.runs import Told
from tests.support.scripted import INVREQ, LABEL, NOT_YET, PAYING, START, FakeLightningd, World

#: Seconds that nothing here takes.
_LONG = 20


class Sending:
    """A single send, to a payer that pays at once; the clock stands still."""

    def __init__(self, *, pays: bool = True) -> None:
        self.lightningd = FakeLightningd(lambda: START)
        self.is_paid = threading.Event()
        if pays:
            self.lightningd.after["injectonionmessage", 1] = self._pay
        self.lightningd.answers["waitinvoice"] = self._wait_invoice
        self.lightningd.answers["sendinvoice-expect"] = {}
        self.lightningd.answers["sendinvoice-replies"] = {"replies": [], "received": 0}

    def _pay(self) -> None:
        self.lightningd.pay()
        self.is_paid.set()

    def _wait_invoice(self, _params: Any) -> dict[str, Any]:
        assert self.is_paid.wait(_LONG)
        return self.lightningd.invoices[LABEL]

    def run(
        self,
        *,
        settled: Callable[[], None] = lambda: None,
        wait: Wait = wait_in_real_time,
        invreq: str = INVREQ,
        **more: Any,
    ) -> Outcome:
        return send(
            Request(invreq, LABEL, **more),
            self.lightningd,
            Told(),
            settled=settled,
            clock=lambda: START,
            wait=wait,
        )

    def sessions_end(self) -> list[float]:
        """Until when each call asks the helper to keep what it hears, from the start."""
        calls = self.lightningd.calls
        return [
            params["until"] - START for method, params in calls if method == "sendinvoice-expect"
        ]


def test_outcome_is_settled_once_and_before_the_session_is_ended() -> None:
    sending = Sending()
    log = sending.lightningd.log
    outcome = sending.run(timeout=5000, settled=lambda: log.append("(settled)"))
    assert outcome.exit_status is ExitStatus.PAID
    assert log.count("(settled)") == 1
    assert log[log.index("(settled)") + 1 :].count("sendinvoice-expect") == 1


@pytest.mark.parametrize("kind", [InterruptedBySignalError, TerminatedBySignalError])
def test_signal_right_after_the_payment_is_known_does_not_hide_it(
    kind: type[InterruptedBySignalError],
) -> None:
    """It exited with 143 and printed no object, though the invoice was paid."""
    signals = [Interruption(kind("interrupted"))]

    def settle() -> None:
        if signals:
            raise signals.pop()

    outcome = Sending().run(settled=settle)
    assert (outcome.exit_status, outcome.error) == (ExitStatus.PAID, None)
    assert outcome.known["payment_preimage"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (InterruptedBySignalError, ExitStatus.INTERRUPTED),
        (TerminatedBySignalError, ExitStatus.TERMINATED),
    ],
)
def test_interrupted_send_tells_of_its_invoice_and_ends_its_session(
    kind: type[InterruptedBySignalError], status: ExitStatus
) -> None:
    sending = Sending(pays=False)
    settled: list[bool] = []

    def interrupt(events: Events, seconds: float) -> Any:
        if not sending.lightningd.log.count("injectonionmessage"):
            return events.get(timeout=_LONG)
        raise Interruption(kind("interrupted"))

    outcome = sending.run(wait=interrupt, timeout=5000, settled=lambda: settled.append(True))
    assert outcome.exit_status is status
    assert outcome.known["bolt12"]
    assert settled == [True]
    assert sending.sessions_end()[-1] == 0


def test_usage_error_is_an_outcome_and_nothing_is_asked() -> None:
    sending = Sending()
    assert sending.run(quantity=2).exit_status is ExitStatus.USAGE
    assert sending.lightningd.log == []


def test_malformed_request_is_an_outcome() -> None:
    assert Sending().run(invreq="lnr1qq").exit_status is ExitStatus.USAGE


# --- what is told ---


def eventful(progress: Progress) -> Outcome:
    """A request that is answered with all that may happen, until it is paid."""
    world = World(progress=progress)
    world.at(9, world.says(PAYING, 0))
    world.at(10, world.says(NOT_YET, 1))
    world.at(14, world.go_away)
    world.at(60, world.pay)
    outcome = world.run()
    assert outcome.exit_status is ExitStatus.PAID
    return outcome


@pytest.fixture
def handlers_restored() -> Iterator[None]:
    """The command handles signals from when it begins."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers_restored")
def test_row_of_a_batch_says_with_verbose_what_a_single_send_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It left out that the invoice is sent again, and that it is waited for."""

    def sender(
        request: Request, client: Client, progress: Progress, *, settled: Callable[[], None]
    ) -> Outcome:
        return eventful(progress)

    args = ["-v", "--json", "--rpc-file", str(tmp_path / "rpc"), INVREQ, LABEL]
    assert cli.run(args, sender=sender) == ExitStatus.PAID
    single = capsys.readouterr().err.splitlines()
    report = Spool(BatchReport(Streams.of_process(), verbose=True))
    eventful(report.for_row(1))
    report.close()
    row = capsys.readouterr().err.splitlines()
    assert [each.replace("sendinvoice: row 1: ", "sendinvoice: ") for each in row] == single
    for words in ("sending the invoice again", "could not pay yet", "Waiting until", "Route: us"):
        assert any(words in each for each in single), words


def test_batch_says_with_verbose_what_a_single_send_says_of_lightningd(
    capsys: pytest.CaptureFixture[str],
) -> None:
    PlainProgress(Log(Streams.of_process(), verbose=True)).step("lightningd is back")
    single = capsys.readouterr()
    report = Spool(BatchReport(Streams.of_process(), verbose=True))
    report.step("lightningd is back")
    report.close()
    assert "lightningd is back" in single.err
    assert capsys.readouterr().err == single.err
