"""Fixtures of the sandbox's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from sendinvoice_cli.sandbox.model.topology import Topology
from tests.networks.sandbox import Sandbox
from tests.support.manual_clock import ManualClock

Start = Callable[..., Sandbox]


@pytest.fixture
def clock() -> ManualClock:
    """The time in the sandboxes of a test."""
    return ManualClock()


@pytest.fixture
def start(clock: ManualClock) -> Iterator[Start]:
    """Starts sandboxes, which end with the test."""
    with ExitStack() as running:

        def start_one(topology: Topology | None = None) -> Sandbox:
            return running.enter_context(Sandbox(topology, clock=clock))

        yield start_one


@pytest.fixture
def sandbox(start: Start) -> Sandbox:
    """Alice, bob and carol in a line, of the newest family."""
    return start()
