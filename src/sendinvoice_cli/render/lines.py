"""Plain lines on stderr, the same for people and for log files."""

from __future__ import annotations

import sys

from .text import printable

_LIMIT = 4000


def print_line(text: str) -> None:
    """One line on stderr, behind the command's name."""
    print(f"sendinvoice: {printable(text, _LIMIT)}", file=sys.stderr, flush=True)


def print_hint(hint: str | None) -> None:
    """What to do about the line before, if there is something."""
    if hint:
        print(f"  hint: {printable(hint, _LIMIT)}", file=sys.stderr, flush=True)


def print_error(message: str, hint: str | None = None) -> None:
    """What happened, and what to do."""
    print_line(message)
    print_hint(hint)


def print_warning(message: str, hint: str | None = None) -> None:
    """What is not as it should be, and what to do."""
    print_line(f"warning: {message}")
    print_hint(hint)
