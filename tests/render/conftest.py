"""Fixtures of the tests of render/."""

from __future__ import annotations

import pytest

from .kept_streams import KeptStreams


@pytest.fixture(autouse=True)
def _no_terminal_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def streams() -> KeptStreams:
    """Streams that keep a test's output."""
    return KeptStreams()
