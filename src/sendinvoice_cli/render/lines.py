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


def print_warning(streams: Streams, message: str, hint: str | None = None) -> None:
    """Print a warning, and what to do."""
    print_line(streams, f"warning: {message}")
    print_hint(streams, hint)
