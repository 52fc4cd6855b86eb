"""Streams that keep what is written to them."""

from __future__ import annotations

import io
from typing import NamedTuple

from sendinvoice_cli.render.streams import Streams


class Written(NamedTuple):
    """What was written to each stream."""

    out: str
    err: str


class KeptStreams(Streams):
    """Streams that are no terminals; stdin is closed."""

    def __init__(self) -> None:
        self._kept = (io.StringIO(), io.StringIO())
        super().__init__(None, *self._kept)

    def read(self) -> Written:
        """What was written since the last time."""
        written = Written(*(stream.getvalue() for stream in self._kept))
        for stream in self._kept:
            stream.seek(0)
            stream.truncate()
        return written


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        """Always true."""
        return True
