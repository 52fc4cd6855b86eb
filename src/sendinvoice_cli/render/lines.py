"""Plain lines on stderr, the same for people and for log files."""

from __future__ import annotations

import sys

from .text import printable

_LIMIT = 4000


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
