"""Fixtures of all tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.networks import Network, real


@pytest.fixture(scope="session")
def real_network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A network of the lightningd on PATH, up until the last test is done."""
    with directory_of_real_nodes(request) as directory, real.network(directory) as network:
        yield network


@contextmanager
def directory_of_real_nodes(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where nodes of the lightningd on PATH keep their files; without one, the test is skipped.

    When a test failed meanwhile, the files stay where they are.
    """
    reason = real.missing()
    if reason is not None:
        pytest.skip(f"no real lightning network: {reason}")
    directory = Path(tempfile.mkdtemp(prefix="sendinvoice-"))
    failed_before = request.session.testsfailed
    try:
        yield directory
    finally:
        if request.session.testsfailed == failed_before:
            shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all real nodes to one of the processes that run tests side by side."""
    for item in items:
        params = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if "lightningd" in params or "real_network" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("real nodes"))
