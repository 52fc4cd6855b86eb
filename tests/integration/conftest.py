"""These tests run on the lightningd on PATH only."""

from __future__ import annotations

import pytest

from tests.networks import Network


@pytest.fixture
def network(real_network: Network) -> Network:
    """The real one."""
    return real_network
