"""Output that nobody can read does not change how a payment ends."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from subprocess import DEVNULL, PIPE, Popen

import pytest

from tests.networks import Network, command_line, environment
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
    assert outcome(network, stderr(), "--json", network.request(1000), label, 2000) == 14


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
