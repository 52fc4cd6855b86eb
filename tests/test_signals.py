"""SIGINT and SIGTERM: while the outcome is not known, between it and its printing, and twice."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sendinvoice_cli import signals
from sendinvoice_cli.bolt12 import invoice
from sendinvoice_cli.errors import ExitStatus, InterruptedBySignalError, TerminatedBySignalError
from tests.networks import run
from tests.node.fake_client import MESSAGES
from tests.support import rpc_server
from tests.support.requests_builder import node_id, request_string, signed_invoice, unsigned_invoice

NUMBERS = (signal.SIGINT, signal.SIGTERM)
EACH = pytest.mark.parametrize("number", NUMBERS)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The handlers of before, after each test."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers() -> set[object]:
    return {signal.getsignal(number) for number in NUMBERS}


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGINT, InterruptedBySignalError), (signal.SIGTERM, TerminatedBySignalError)],
)
def test_first_signal_interrupts_and_a_second_one_ends_the_process(
    number: signal.Signals, kind: type[InterruptedBySignalError]
) -> None:
    signals.interrupt()
    with pytest.raises(signals.Interruption) as raised:
        signal.raise_signal(number)
    assert type(raised.value.error) is kind
    assert handlers() == {signal.SIG_DFL}


def test_no_handler_of_failures_takes_a_signal_for_one() -> None:
    """Whatever was suppressed while the signal came suppressed the signal."""
    signals.interrupt()
    with pytest.raises(signals.Interruption), suppress(Exception):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGINT, InterruptedBySignalError), (signal.SIGTERM, TerminatedBySignalError)],
)
def test_first_signal_is_told_to_an_event_loop_and_a_second_one_ends_the_process(
    number: signal.Signals, kind: type[InterruptedBySignalError]
) -> None:
    async def run() -> InterruptedBySignalError:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[InterruptedBySignalError] = loop.create_future()
        signals.interrupt_loop(loop, told.set_result)
        signal.raise_signal(number)
        return await told

    assert type(asyncio.run(run())) is kind
    assert handlers() == {signal.SIG_DFL}


def test_event_loop_that_is_released_leaves_no_handler_behind() -> None:
    """Ctrl-C once a batch had ended was a traceback, and its summary was lost."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        signals.interrupt_loop(loop, lambda _: None)
        signals.release_loop(loop)

    asyncio.run(run())
    assert handlers() == {signal.SIG_DFL}


def test_event_loop_of_another_thread_leaves_the_handlers_alone() -> None:
    async def run() -> None:
        signals.interrupt_loop(asyncio.get_running_loop(), lambda _: None)
        signals.release_loop(asyncio.get_running_loop())

    before = handlers()
    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    thread.join()
    assert handlers() == before


@EACH
def test_signal_once_the_outcome_is_known_changes_nothing_and_a_second_one_ends_the_process(
    number: signal.Signals,
) -> None:
    signals.interrupt()
    signals.finish()
    signal.raise_signal(number)
    assert handlers() == {signal.SIG_DFL}


@EACH
def test_outcome_of_an_interruption_does_not_take_back_that_a_second_signal_ends_the_process(
    number: signal.Signals,
) -> None:
    signals.interrupt()
    with pytest.raises(signals.Interruption):
        signal.raise_signal(number)
    signals.finish()
    assert handlers() == {signal.SIG_DFL}


def test_handlers_of_whoever_calls_this_code_are_left_alone() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    before = handlers()
    signals.finish()
    assert handlers() == before


# --- a process of its own ---

#: Runs before everything else: signals come right before the first byte of the result is written.
SIGNALLING = """
import io, os, signal, sys

class Stdout(io.TextIOWrapper):
    left = {times}

    def write(self, text):
        while self.left:
            self.left -= 1
            os.kill(os.getpid(), {number})
        return super().write(text)

sys.stdout = Stdout(sys.stdout.detach(), encoding="utf-8")
"""


def paid_before() -> rpc_server.Respond:
    """A lightningd in which the request's invoice is paid already."""
    stored = {
        "label": "a label",
        "status": "paid",
        "payment_hash": "77" * 32,
        "expires_at": 2**31,
        "amount_msat": 100_000,
        "bolt12": invoice.encode(signed_invoice(unsigned_invoice())),
        "payment_preimage": "5a" * 32,
    }
    return rpc_server.answers(
        {
            "getinfo": {
                "id": node_id(1).hex(),
                "network": "bitcoin",
                "version": "v26.06",
                "blockheight": 1,
                "our_features": {"node": MESSAGES},
            },
            "help": {"help": [{"command": "injectonionmessage path_key message"}]},
            "listconfigs": {"configs": {}},
            "listinvoices": {"invoices": [stored]},
        }
    )


@EACH
@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "table"])
def test_signal_between_the_outcome_and_its_printing_loses_nothing_of_it(
    tmp_path: Path, options: list[str], number: signal.Signals
) -> None:
    """It exited with 143 and printed no object, though the invoice was paid."""
    (tmp_path / "sitecustomize.py").write_text(SIGNALLING.format(times=1, number=int(number)))
    with rpc_server.serving(tmp_path / "rpc", paid_before()):
        result = run(
            *("--rpc-file", tmp_path / "rpc", *options, request_string(), "a label"),
            env={"PYTHONPATH": str(tmp_path)},
        )
    assert (result.exit, result.stderr.strip()) == (ExitStatus.PAID, "")
    assert "5a" * 32 in result.stdout
    if options:
        assert json.loads(result.stdout)["status"] == "paid"


@EACH
def test_second_signal_between_the_outcome_and_its_printing_ends_the_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SIGNALLING.format(times=2, number=int(number)))
    with rpc_server.serving(tmp_path / "rpc", paid_before()):
        result = run(
            *("--rpc-file", tmp_path / "rpc", "--json", request_string(), "a label"),
            env={"PYTHONPATH": str(tmp_path)},
        )
    assert (result.exit, result.stdout) == (-number, "")


#: Runs before everything else: signals come when Python has begun to end, and has taken its
#: handlers away.
ENDING = """
import atexit, os, sys

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {number})

sys.modules["a module that stays until the end"] = Last()
"""


@EACH
def test_signal_while_the_process_ends_changes_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    """It printed a result with exit code 0, and died of the signal."""
    (tmp_path / "sitecustomize.py").write_text(ENDING.format(number=int(number)))
    with rpc_server.serving(tmp_path / "rpc", paid_before()):
        result = run(
            *("--rpc-file", tmp_path / "rpc", "--json", request_string(), "a label"),
            env={"PYTHONPATH": str(tmp_path)},
        )
    assert (result.exit, result.json["exit_code"]) == (ExitStatus.PAID, ExitStatus.PAID)
