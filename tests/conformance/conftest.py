"""The networks that all tests here share, and what each test has for itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import count
from subprocess import Popen
from typing import Any

import pytest

from sendinvoice_cli.sandbox.model.family import Family
from tests.networks import Network, simulated, timed
from tests.networks.timed import TimedNetwork

HELPER = "sendinvoice-reply-helper"

_number = count(1)

#: For modules whose tests run with single sends and with batches of one row: both end alike. In
#: batches they run on the newest family only, since all families make the same calls in both.
in_both_ways = pytest.mark.parametrize("in_batch", [False, True], ids=["single", "batch"])
_NEWEST = Family.V26_06


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deselect batches on older families."""
    items[:] = [item for item in items if not _is_old_batch(item)]


def _is_old_batch(item: pytest.Item) -> bool:
    params = item.callspec.params if hasattr(item, "callspec") else {}
    families = {params.get("family", _NEWEST).value, params.get("network", _NEWEST.value)}
    return bool(params.get("in_batch")) and not families <= {_NEWEST.value, "lightningd"}


@pytest.fixture
def in_batch() -> bool:
    """Whether commands are batches of one row; see :data:`in_both_ways`."""
    return False


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
    request: pytest.FixtureRequest,
    simulated_networks: Callable[[Family], Network],
    in_batch: bool,
) -> Network:
    """The sandbox as each family, and the lightningd on PATH."""
    if request.param == "lightningd":
        real: Network = request.getfixturevalue("real_network")
        return replace(real, in_batch=in_batch)
    return replace(simulated_networks(Family(request.param)), in_batch=in_batch)


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
    """Starts the command like ``network.start``, and kills at the end what still runs."""
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
def launch(in_batch: bool) -> Iterator[Callable[..., TimedNetwork]]:
    """Brings up sandboxes in which time stands still, by ``timed.network``'s parameters."""
    bring_up = partial(timed.network, in_batch=in_batch)
    with ExitStack() as running:
        yield lambda *args: running.enter_context(bring_up(*args))


@pytest.fixture
def still(launch: Callable[..., TimedNetwork]) -> TimedNetwork:
    """A sandbox of the newest family in which time stands still."""
    return launch()
