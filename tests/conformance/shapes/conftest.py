"""The towns that every test here runs on; see tests/networks/shapes.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sendinvoice_cli.sandbox.model.family import Family
from tests.conftest import directory_of_real_nodes
from tests.networks import shapes
from tests.networks.shapes import Shape, SimulatedShape

_BACKENDS = [*(family.value for family in Family), "lightningd"]

#: In the real town the receiver has the relay front its payments.
FRONTED = {"receiver": "relay"}


@pytest.fixture(scope="session")
def real_town(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """A town of the lightningd on PATH."""
    with (
        directory_of_real_nodes(request) as directory,
        shapes.real_nodes(directory, shapes.town(Family.V26_06), FRONTED) as town,
    ):
        yield town


@pytest.fixture(params=_BACKENDS)
def town(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """The sandbox as each family, and the lightningd on PATH."""
    if request.param == "lightningd":
        yield request.getfixturevalue("real_town")
        return
    # A new one each time: its nodes drop messages that come too quickly one after the other.
    with shapes.simulated(shapes.town(Family(request.param))) as simulated:
        yield simulated


@pytest.fixture
def town_with_paths(town: Shape) -> Shape:
    """The same, where lightningd knows invreq_paths."""
    if not town.knows_paths:
        pytest.skip(f"{town.name} does not know invreq_paths")
    return town


@pytest.fixture(params=list(Family), ids=lambda family: str(family.value))
def sandbox_town(request: pytest.FixtureRequest) -> Iterator[SimulatedShape]:
    """The sandbox alone."""
    with shapes.simulated(shapes.town(request.param)) as simulated:
        yield simulated


@pytest.fixture
def sandbox_town_with_paths(sandbox_town: SimulatedShape) -> SimulatedShape:
    """The sandbox alone, where it knows invreq_paths."""
    if not sandbox_town.knows_paths:
        pytest.skip(f"{sandbox_town.name} does not know invreq_paths")
    return sandbox_town
