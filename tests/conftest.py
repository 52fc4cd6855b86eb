"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.networks import Network, real


@pytest.fixture(scope="session")
def real_network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Network]:
    """A network of the lightningd on PATH, up until the last test is done."""
    reason = real.missing()
    if reason is not None:
        pytest.skip(f"no real lightning network: {reason}")
    with real.network(tmp_path_factory.mktemp("real")) as network:
        yield network
