"""The command is killed or told to end, at any instant: run again, it ends paid, once."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from subprocess import Popen

import pytest

from sendinvoice_cli.answering import blocking_host
from sendinvoice_cli.errors import ExitStatus
from sendinvoice_cli.node.rpc.client import Client
from sendinvoice_cli.request import Request
from sendinvoice_cli.sandbox.model.family import Family
from tests.networks import PROMPT_SECONDS, SENT, Network, finish, run, simulated, wait_for
from tests.networks.faults import CallFault, Hold
from tests.networks.runs import Told, catches, full_pipe, paid_msat, read_until
from tests.networks.simulated import SimulatedNetwork
from tests.support.schema import check_paid, check_result

from .conftest import in_both_ways

Start = Callable[..., Popen[str]]

AMOUNT_MSAT = 5_000
LABEL = "a label"

#: For what depends on the command alone.
newest = pytest.mark.parametrize("network", ["v26.06", "lightningd"], indirect=True)

#: The calls of one send where no helper runs, in the order in which each
#: thread makes them: to ask, to start the helper, to send, to wait.
_ASKING = (
    *("getinfo", "listconfigs", "help", "listinvoices"),
    *("listpeerchannels", "listnodes", "listpeers"),
)
#: To find a path to the payer itself, if the request has no path.
_FURTHER = ("help", "listnodes", "listchannels")
_HELPER = ("sendinvoice-expect", "plugin", "sendinvoice-expect")
_CREATING = ("makesecret", "createinvoice", "waitinvoice", "sendinvoice-expect")
_WAITING = ("sendinvoice-replies",)
CALLS = {
    Family.V24_02: (*_ASKING, *_FURTHER, *_HELPER, *_CREATING, "sendonionmessage", *_WAITING),
    Family.V24_08: (*_ASKING, *_HELPER, *_CREATING, "injectonionmessage", *_WAITING),
    Family.V26_06: (
        *(*_ASKING, *_HELPER, *_CREATING, "createonion", "injectonionmessage", *_WAITING),
    ),
}
#: Instead of ``waitinvoice``, a batch asks where the indexes are, waits for changes and deletions,
#: and looks up what has changed.
BATCH_CALLS = (
    *_ASKING,
    *_HELPER,
    *("makesecret", "createinvoice", "wait", "wait", "wait", "wait", "sendinvoice-expect"),
    *("createonion", "injectonionmessage", "sendinvoice-replies", "listinvoices"),
)
#: The call that gets no answer if the invoice is paid.
_UNANSWERED = "sendinvoice-replies"
#: The calls that create something; the families send with different ones.
_CHANGING = ("createinvoice", "sendonionmessage", "injectonionmessage")


Boundary = tuple[str, int, str]


def boundaries(calls: Sequence[str]) -> Iterator[Boundary]:
    """Each instant at which a call begins or ends: method, number, ``before`` or ``after``."""
    seen: Counter[str] = Counter()
    for method in calls:
        seen[method] += 1
        yield method, seen[method], "before"
        # Nothing is deleted, so one of the waits goes on.
        if method != _UNANSWERED and (method, seen[method]) != ("wait", 3):
            yield method, seen[method], "after"


def boundaries_in_both_ways(family: Family) -> dict[Boundary, tuple[bool, ...]]:
    """The boundaries, and whether a single send (False), a batch (True), or both have them."""
    single = list(boundaries(CALLS[family]))
    batch = list(boundaries(BATCH_CALLS)) if family is Family.V26_06 else []
    return {
        each: tuple(way for way, found in ((False, single), (True, batch)) if each in found)
        for each in (*single, *batch)
    }


def all_boundaries() -> Iterator[tuple[bool, Family, str, int, str]]:
    """All boundaries of the newest family; of the others, those of calls that change something."""
    for family in Family:
        for (method, number, phase), ways in boundaries_in_both_ways(family).items():
            if family is Family.V26_06 or method in _CHANGING:
                for in_batch in ways:
                    yield in_batch, family, method, number, phase


class Watched:
    """The receiver's calls, as they begin and end; the payment is held until all have begun.

    :param on: called with each: method, number of it so far, ``before`` or ``after``.
    """

    def __init__(self, network: SimulatedNetwork, on: Callable[[str, int, str], None]) -> None:
        self.network = network
        self.on = on
        self.seen: Counter[str] = Counter()
        self.hold: Hold = network.sandbox.faults.hold_payments("payer")
        network.sandbox.observe_calls(self._observe)

    def _observe(self, node: str, method: str, phase: str) -> None:
        if node != "receiver":
            return
        self.seen[method] += phase == "before"
        self.on(method, self.seen[method], phase)
        if method == _UNANSWERED:
            self.hold.release()

    def stop(self) -> None:
        self.network.sandbox.observe_calls(None)
        self.hold.release()


@pytest.fixture
def launch_live(in_batch: bool) -> Iterator[Callable[[Family], SimulatedNetwork]]:
    """Brings up a sandbox that no other test has used."""
    bring_up = partial(simulated.network, in_batch=in_batch)
    with ExitStack() as running:
        yield lambda family: running.enter_context(bring_up(family))


def resume(network: SimulatedNetwork, request: str) -> dict[str, object]:
    """Do what the same command does, in this process; it must end paid."""
    outcome = blocking_host.send(Request(request, LABEL), Client(network.receiver.rpc_file), Told())
    assert outcome.exit_status == ExitStatus.PAID, outcome.error
    result = outcome.as_json()
    check_paid(result)
    return result


def assert_paid_once(network: SimulatedNetwork, request: str, result: dict[str, object]) -> None:
    (invoice,) = network.sandbox.call("receiver", "listinvoices")["invoices"]
    assert (invoice["label"], invoice["status"]) == (LABEL, "paid")
    # There was never another invoice.
    assert invoice["created_index"] == 1
    assert invoice["payment_hash"] == result["payment_hash"]
    assert paid_msat(network, request) == [AMOUNT_MSAT]


# --- SIGKILL ---


@in_both_ways
@pytest.mark.parametrize("family", list(Family))
def test_calls_of_one_send(
    launch_live: Callable[[Family], SimulatedNetwork], family: Family
) -> None:
    """The tests below kill the command at these calls."""
    network = launch_live(family)
    calls: list[tuple[str, int, str]] = []
    watched = Watched(network, lambda *call: calls.append(call))

    result = network.run("--json", network.request(AMOUNT_MSAT), LABEL)

    watched.stop()
    assert result.exit == 0
    if network.in_batch:
        # It may just have begun to wait for the next change.
        calls = [call for call in calls if call != ("wait", 5, "before")]
    # Threads make them side by side.
    expected = BATCH_CALLS if network.in_batch else CALLS[family]
    assert sorted(call[::2] for call in calls) == sorted(call[::2] for call in boundaries(expected))


@pytest.mark.parametrize(
    ("in_batch", "family", "method", "number", "phase"), list(all_boundaries())
)
def test_killed_at_a_call(
    launch_live: Callable[[Family], SimulatedNetwork],
    family: Family,
    method: str,
    number: int,
    phase: str,
) -> None:
    network = launch_live(family)
    request = network.request(AMOUNT_MSAT)
    started: SimpleQueue[Popen[str]] = SimpleQueue()
    breaks = network.sandbox.faults.break_call
    is_begun = phase == "after"

    def kill(called: str, times: int, now: str) -> None:
        if (called, times, now) == (method, number, phase):
            started.get().kill()
        elif not is_begun and (called, times, now) == (method, number - 1, "before"):
            breaks("receiver", method, CallFault.CLOSE_BEFORE)

    if not is_begun and number == 1:
        # The call never reaches lightningd.
        breaks("receiver", method, CallFault.CLOSE_BEFORE)
    watched = Watched(network, kill)
    process = network.start("--json", request, LABEL)
    started.put(process)
    killed = finish(process)
    watched.stop()
    assert (killed.exit, killed.stdout) == (-signal.SIGKILL, "")
    before = network.receiver.invoice(LABEL)

    result = resume(network, request)

    if before is not None:
        assert result["payment_hash"] == before["payment_hash"]
    assert_paid_once(network, request, result)


@in_both_ways
@newest
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(re.compile("call listinvoices "), id="nothing created"),
        pytest.param(re.compile("call createinvoice "), id="created"),
        pytest.param(re.compile("Waiting until"), id="waiting"),
        pytest.param(SENT, id="sent"),
    ],
)
def test_killed_when_it_says_so(
    network: Network, label: str, start: Start, line: re.Pattern[str]
) -> None:
    request = network.request(AMOUNT_MSAT)
    process = start("--json", "-v", request, label)
    read_until(process, line)
    process.kill()
    finish(process)
    before = network.receiver.invoice(label)

    result = network.run("--json", request, label)

    assert result.exit == 0, result
    check_paid(result.json)
    if before is not None:
        assert result.json["payment_hash"] == before["payment_hash"]
    assert paid_msat(network, request) == [AMOUNT_MSAT]


@in_both_ways
@newest
def test_killed_again_and_again(network: Network, label: str, start: Start) -> None:
    request = network.request(AMOUNT_MSAT)
    hashes = set()
    with network.hushed(request) as mailbox:
        for run in range(1, 4):
            process = start("--json", request, label)
            wait_for(lambda run=run: len(mailbox.invoices()) == run, "the invoice at the payer")  # type: ignore[misc]
            process.kill()
            finish(process)
            invoice = network.receiver.invoice(label)
            assert invoice is not None
            hashes.add(invoice["payment_hash"])

    result = network.run("--json", request, label)

    assert result.exit == 0, result
    assert hashes == {result.json["payment_hash"]}
    assert paid_msat(network, request) == [AMOUNT_MSAT]


# --- SIGINT and SIGTERM ---

signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["130", "143"])


@in_both_ways
@newest
@signals
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "table"])
def test_signal_while_waiting(
    network: Network,
    label: str,
    start: Start,
    number: signal.Signals,
    as_json: bool,
) -> None:
    exit_status = 128 + number
    request = network.request(AMOUNT_MSAT)
    with network.hushed(request) as mailbox:
        process = start(*["--json"] * as_json, request, label)
        wait_for(mailbox.invoices, "the invoice at the payer")
        process.send_signal(number)
        result = finish(process)
    invoice = network.receiver.invoice(label)

    assert (result.exit, result.seconds < PROMPT_SECONDS) == (exit_status, True)
    assert invoice is not None
    assert re.search(r"\n  hint: run the same command (with the same file )?again", result.stderr)
    said = result.json["error"]["message"] if as_json else result.stderr
    assert label in said
    # It would fill the screen.
    assert invoice["bolt12"] not in said
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", said)
    if as_json:
        check_result(result.json, exit_status)
        assert result.json["status"] == "unpaid"
        assert result.json["expires_at"] == invoice["expires_at"]
        assert result.json["error"]["data"]["invstring"] == invoice["bolt12"]
    if not network.in_batch:
        assert len(result.stderr.splitlines()) == 2
        assert said in result.stderr
        assert as_json or invoice["bolt12"] not in result.stdout

    again = network.run("--json", request, label)

    assert again.exit == 0
    assert again.json["payment_hash"] == invoice["payment_hash"]
    assert paid_msat(network, request) == [AMOUNT_MSAT]


@pytest.mark.parametrize(
    ("in_batch", "method"),
    [
        *((False, method) for method in dict.fromkeys(CALLS[Family.V26_06])),
        *((True, method) for method in dict.fromkeys(BATCH_CALLS)),
    ],
)
def test_signal_while_a_call_hangs(
    launch_live: Callable[[Family], SimulatedNetwork], method: str
) -> None:
    network = launch_live(Family.V26_06)
    request = network.request(AMOUNT_MSAT)
    number = (BATCH_CALLS if network.in_batch else CALLS[Family.V26_06]).count(method)
    is_hanging: SimpleQueue[None] = SimpleQueue()

    def hang(called: str, times: int, now: str) -> None:
        if (called, now) == (method, "before"):
            if times == number - 1:
                network.sandbox.faults.break_call("receiver", method, CallFault.NEVER)
            elif times == number:
                is_hanging.put(None)

    if number == 1:
        network.sandbox.faults.break_call("receiver", method, CallFault.NEVER)
    watched = Watched(network, hang)
    # Where it can go on, it could be paid before the signal; the last look follows a payment.
    with nullcontext() if method == "listinvoices" else network.hushed():
        process = network.start("--json", request, LABEL)
        is_hanging.get(timeout=20)
        process.send_signal(signal.SIGINT)
        interrupted = finish(process)
    watched.stop()

    assert (interrupted.exit, interrupted.seconds < PROMPT_SECONDS) == (130, True)
    # A batch says nothing of a row without an invoice.
    if not network.in_batch or interrupted.stdout:
        check_result(interrupted.json, 130)
        is_known = "bolt12" in interrupted.json
        message = interrupted.json["error"]["message"]
        assert ("may still be paid" in message) is is_known
    assert_paid_once(network, request, resume(network, request))


def test_signal_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")

    result = run("--help", env={"PYTHONPATH": str(tmp_path)})

    assert (result.exit, result.stdout, result.stderr) == (-signal.SIGINT, "", "")


@in_both_ways
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@signals
@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_second_signal_ends_at_once(network: Network, label: str, number: signal.Signals) -> None:
    """Nobody reads what it prints, so the first one cannot end it."""
    request = network.request(AMOUNT_MSAT)
    reader, writer = full_pipe()
    try:
        with network.hushed(request) as mailbox:
            process = network.popen("--json", request, label, stdout=writer)
            wait_for(mailbox.invoices, "the invoice at the payer")
            assert catches(process, number)
            process.send_signal(number)
            wait_for(lambda: not catches(process, number), "the first signal to be taken")
            assert process.poll() is None
            process.send_signal(number)
            result = finish(process)
    finally:
        os.close(reader)
        os.close(writer)

    assert (result.exit, result.seconds < PROMPT_SECONDS) == (-number, True)
    assert network.run("--json", request, label).exit == 0
