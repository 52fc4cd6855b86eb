"""Streams that keep what is written to them."""

from __future__ import annotations

import io
from typing import NamedTuple

from sendinvoice_cli.render.streams import Streams


class Written(NamedTuple):
    """What was written to each."""

    out: str
    err: str


class KeptStreams(Streams):
    """None of them is a terminal; stdin is closed."""

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
    """A terminal; it has what was written as one text."""

    def isatty(self) -> bool:
        """It says that it is one."""
        return True
