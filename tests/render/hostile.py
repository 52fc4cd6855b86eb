"""Hostile text, and how it is shown."""

from __future__ import annotations

import re

#: A text with every kind of hostile character.
HOSTILE = (
    "[red]x[/red] \x1b[31m\x9b31m\x1b]0;t\x07 \u202e\u2066 \u200b\ufeff \n\r\x85\u2028 "
    "a" + "\u0301" * 50 + "\x00\x7f\udcff"
)
#: How it begins when it is shown.
SHOWN = r"[red]x[/red] \x1b[31m\x9b31m\x1b]0;t\x07 \u202e\u2066"

_SGR = re.compile(r"\x1b\[[0-9;]*m")


def without_control(shown: str) -> str:
    """What is printed, without the colours and the movements of the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown)


def without_colour(shown: str) -> str:
    """What is printed, without rich's own colours."""
    return _SGR.sub("", shown)


def harmless(shown: str) -> str:
    """The same, once it is checked that nothing in it can act on a terminal."""
    plain = without_colour(shown)
    assert all(line.isprintable() for line in plain.split("\n"))
    assert plain.count("\u0301") <= 3 * plain.count("a\u0301")
    return plain
