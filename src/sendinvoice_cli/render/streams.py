"""The standard streams, and how to write to them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO, cast

from ..errors import UsageError


class Streams:
    """The standard streams: made once, and handed to whoever reads or writes.

    Any text can be written: characters that the encoding lacks become backslash escapes. None
    means a closed stream; what is written to it is lost.

    :param color: True for colour, False for none; None if the terminal decides.
    """

    def __init__(
        self,
        stdin: TextIO | None,
        stdout: TextIO | None,
        stderr: TextIO | None,
        *,
        color: bool | None = None,
    ) -> None:
        self._stdin = stdin
        self.stdout = _writable(stdout)
        self.stderr = cast("TextIO", _UnfailingStream(_writable(stderr)))
        self.color = color
        #: Prints a line above what is drawn on the terminal; None while nothing is drawn.
        self.print_above: Callable[[str], None] | None = None

    @classmethod
    def of_process(cls) -> Streams:
        """The streams of this process; no colour if NO_COLOR is set.

        Some parents hand over streams that do not block: what is not there yet would count as the
        end, and what a full pipe does not take would be lost.
        """
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            # Some are closed, or no files.
            with suppress(AttributeError, OSError, ValueError):
                os.set_blocking(stream.fileno(), True)
        color = False if os.environ.get("NO_COLOR") else None
        return cls(sys.stdin, sys.stdout, sys.stderr, color=color)

    @property
    def stdin(self) -> TextIO:
        """Standard input.

        :raises UsageError: it is closed.
        """
        if self._stdin is None:
            raise UsageError("standard input is closed", hint="- reads it: pipe something into it")
        return self._stdin

    def write_line(self, stream: TextIO, line: str) -> None:
        """Write a line to stdout or stderr; on a terminal, above what is drawn there.

        :raises OSError: stdout cannot be written.
        """
        # Another thread may stop the drawing at any time.
        print_above = self.print_above
        if print_above is not None and stream.isatty():
            print_above(line)
        else:
            # In one call: threads may print at the same time.
            stream.write(line + "\n")
            stream.flush()


def silence(stream: TextIO) -> None:
    """Redirect a broken stream to the null device, with what its buffer still holds.

    Otherwise every later write would fail, and so would Python's flush at exit.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _writable(stream: TextIO | None) -> TextIO:
    if stream is None:
        stream = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


class _UnfailingStream:
    """stderr, silenced after a write failure.

    A closed pipe or a full disk must not change the exit status of a payment. Everything but
    writing is passed to the stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or pretend to."""
        try:
            self._stream.write(text)
        except OSError:
            silence(self._stream)
        return len(text)

    def flush(self) -> None:
        """Flush, or pretend to."""
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)
