"""Plain lines on stderr, the same for people and for log files."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from .text import printable

_LIMIT = 4000


class UnfailingStream(io.TextIOBase):
    """stderr that is a null device from when it cannot be written any more.

    What nobody can read, as behind a closed pipe or on a full disk, is not to change how a
    payment ends.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or pretend to."""
        with self._failing_once():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or pretend to."""
        with self._failing_once():
            self._stream.flush()

    @contextmanager
    def _failing_once(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            # What is left in the buffer would fail again and again, and once more at the end.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def fileno(self) -> int:
        """The descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the text."""
        return self._stream.encoding


def print_line(text: str) -> None:
    """One line on stderr, behind the command's name."""
    _write(f"sendinvoice: {printable(text, _LIMIT)}")


def print_hint(hint: str | None) -> None:
    """What to do about the line before, if there is something."""
    if hint:
        _write(f"  hint: {printable(hint, _LIMIT)}")


def print_error(message: str, hint: str | None = None) -> None:
    """What happened, and what to do."""
    print_line(message)
    print_hint(hint)


def print_warning(message: str, hint: str | None = None) -> None:
    """What is not as it should be, and what to do."""
    print_line(f"warning: {message}")
    print_hint(hint)


def _write(line: str) -> None:
    # In one piece: threads may print at the same time.
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
