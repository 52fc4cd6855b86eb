"""Plain lines on stderr, the same for people and for log files."""

from __future__ import annotations

from .streams import Streams
from .text import printable

_LIMIT = 4000


def print_line(streams: Streams, text: str) -> None:
    """Print a line to stderr, after the command's name."""
    streams.write_line(streams.stderr, f"sendinvoice: {printable(text, _LIMIT)}")


def print_hint(streams: Streams, hint: str | None) -> None:
    """Print what to do about the line before; nothing for None."""
    if hint:
        streams.write_line(streams.stderr, f"  hint: {printable(hint, _LIMIT)}")


def print_error(streams: Streams, message: str, hint: str | None = None) -> None:
    """Print an error, and what to do."""
    print_line(streams, message)
    print_hint(streams, hint)


class Log:
    """Steps and warnings, as lines.

    :param verbose: print the steps, too.
    :param quiet: print only the warnings that the user must see.
    """

    def __init__(self, streams: Streams, *, verbose: bool = False, quiet: bool = False) -> None:
        self._streams = streams
        self._verbose = verbose
        self._quiet = quiet

    def step(self, text: str) -> None:
        """Print a step that was done, if verbose."""
        if self._verbose:
            print_line(self._streams, text)

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Print a warning, and what to do."""
        if even_if_quiet or not self._quiet:
            print_error(self._streams, f"warning: {text}", hint)
