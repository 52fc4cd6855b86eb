"""The networks that every test here runs on, and what each test has to itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from subprocess import Popen
from typing import Any

import pytest

from sendinvoice_cli.sandbox.model.family import Family
from tests.networks import Network, simulated, timed
from tests.networks.timed import TimedNetwork

HELPER = "sendinvoice-reply-helper"

_number = count(1)


@pytest.fixture(scope="session")
def simulated_networks() -> Iterator[Callable[[Family], Network]]:
    """A sandbox of each family, made when it is first asked for."""
    with ExitStack() as stack:
        made: dict[Family, Network] = {}

        def make(family: Family) -> Network:
            if family not in made:
                made[family] = stack.enter_context(simulated.network(family))
            return made[family]

        yield make


@pytest.fixture(params=[*(family.value for family in Family), "lightningd"])
def network(
    request: pytest.FixtureRequest, simulated_networks: Callable[[Family], Network]
) -> Network:
    """The sandbox as each family, and the lightningd on PATH."""
    if request.param == "lightningd":
        real: Network = request.getfixturevalue("real_network")
        return real
    return simulated_networks(Family(request.param))


@pytest.fixture
def label(request: pytest.FixtureRequest) -> str:
    """A label that no other invoice has."""
    return f"{re.sub(r'[^a-z0-9]+', '-', request.node.name)}-{next(_number)}"


@pytest.fixture
def no_helper(network: Network) -> None:
    """No reply helper runs in lightningd when the test begins."""
    for path in network.receiver.plugins(HELPER):
        network.receiver.rpc("plugin", subcommand="stop", plugin=path)


@pytest.fixture
def start(network: Network) -> Iterator[Callable[..., Popen[str]]]:
    """Starts the command like ``network.start``; what still runs in the end is killed."""
    started: list[Popen[str]] = []

    def start_one(*args: object, **kw: Any) -> Popen[str]:
        process = network.start(*args, **kw)
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def launch() -> Iterator[Callable[..., TimedNetwork]]:
    """Brings up sandboxes in which time stands still, by ``timed.network``'s parameters."""
    with ExitStack() as running:
        yield lambda *args: running.enter_context(timed.network(*args))


@pytest.fixture
def still(launch: Callable[..., TimedNetwork]) -> TimedNetwork:
    """A sandbox of the newest family in which time stands still."""
    return launch()
