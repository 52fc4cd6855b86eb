"""Output that nobody can read does not change how a payment ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import pytest

from tests.networks import (
    PROMPT_SECONDS,
    Network,
    command_line,
    environment,
    finish,
    wait_for,
)
from tests.networks.runs import catches, full_pipe
from tests.support.schema import check_paid


def outcome(network: Network, stderr: int, *args: object) -> int:
    """Run the command with this stderr; returns its exit status."""
    with Popen(
        command_line(*network.as_receiver(), *args),
        env=environment(),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=stderr,
    ) as process:
        os.close(stderr)
        printed, _ = process.communicate(timeout=60)
    if process.returncode == 0:
        check_paid(json.loads(printed))
    return process.returncode


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("stderr", [full_disk, closed_pipe])
@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_steps_on_a_broken_stderr(network: Network, label: str, stderr: object) -> None:
    assert callable(stderr)
    assert outcome(network, stderr(), "--json", "-v", network.request(1000), label) == 0


@pytest.mark.parametrize("stderr", [full_disk, closed_pipe])
@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_warning_on_a_broken_stderr(network: Network, label: str, stderr: object) -> None:
    """The command asks for more than is offered, and hears the refusal."""
    assert callable(stderr)
    assert (
        outcome(network, stderr(), "--json", network.request(1000), label, "--amount-msat", 2000)
        == 14
    )


@pytest.mark.parametrize("options", [("--json",), ()], ids=["json", "table"])
@pytest.mark.parametrize("stdout", [full_disk, closed_pipe])
@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_payment_whose_result_cannot_be_written(
    network: Network, label: str, stdout: Callable[[], int], options: tuple[str, ...]
) -> None:
    descriptor = stdout()
    done = subprocess.run(
        command_line(*network.as_receiver(), *options, network.request(1000), label),
        env=environment(),
        stdin=DEVNULL,
        stdout=descriptor,
        stderr=PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(descriptor)
    assert done.returncode == 0
    assert done.stderr.count("cannot write the result") == 1


@pytest.mark.parametrize("options", [("--json", "-v"), ()], ids=["json", "table"])
@pytest.mark.parametrize("descriptors", [(2,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_closed_descriptors(
    network: Network, label: str, descriptors: tuple[int, ...], options: tuple[str, ...]
) -> None:
    """The connection to lightningd may get the number of one of them."""
    closed = " ".join(f"{number}>&-" for number in descriptors)
    done = subprocess.run(
        [
            *("sh", "-c", f'exec "$@" {closed}', "sh"),
            *command_line(*network.as_receiver(), *options, network.request(1000), label),
        ],
        env=environment(),
        stdin=DEVNULL,
        stdout=PIPE,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    if 1 not in descriptors and options:
        check_paid(json.loads(done.stdout))


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that is full, and that nobody reads."""
    reader, writer = full_pipe()
    yield writer
    os.close(reader)
    os.close(writer)


def start_batch(network: Network, stderr: int, *rows: tuple[str, str]) -> Popen[str]:
    """Start a batch of these requests and labels, with ``-v``."""
    batch = "".join(json.dumps({"invreq": row[0], "label": row[1]}) + "\n" for row in rows)
    with tempfile.TemporaryFile("w+") as stdin:
        stdin.write(batch)
        stdin.seek(0)
        return Popen(
            command_line(*network.as_receiver(), "-v", "--json", "--batch", "-"),
            env=environment(),
            stdin=stdin,
            stdout=PIPE,
            stderr=stderr,
            text=True,
        )


def read_result(process: Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    result: dict[str, Any] = json.loads(process.stdout.readline())
    return result


numbers = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@numbers
@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_batch_goes_on_although_nobody_reads_its_steps(
    network: Network, label: str, unread: int, number: signal.Signals
) -> None:
    """It froze as soon as the pipe was full, and took no signal."""
    rows = [(network.request(1000), f"{label} {row}") for row in range(3)]
    with start_batch(network, unread, *rows) as process:
        for _ in rows:
            check_paid(read_result(process))
        wait_for(lambda: not catches(process, number), "the end of the batch")
        assert process.poll() is None
        process.send_signal(number)
        ended = finish(process)
    assert (ended.exit, ended.seconds < PROMPT_SECONDS) == (-number, True)


@numbers
@pytest.mark.parametrize("network", ["v26.06"], indirect=True)
def test_signal_interrupts_a_batch_although_nobody_reads_its_steps(
    network: Network, label: str, unread: int, number: signal.Signals
) -> None:
    request = network.request(1000)
    with (
        network.hushed(request) as mailbox,
        start_batch(network, unread, (request, label)) as batch,
    ):
        wait_for(mailbox.invoices, "the invoice at the payer")
        batch.send_signal(number)
        assert read_result(batch)["exit_code"] == 128 + number
        batch.send_signal(number)
        ended = finish(batch)
    assert (ended.exit, ended.seconds < PROMPT_SECONDS) == (-number, True)
