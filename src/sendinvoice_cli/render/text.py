"""Make text from strangers harmless on a terminal."""

from __future__ import annotations

import unicodedata

#: Longest text shown, in characters. JSON output is never cut.
LIMIT = 500

#: Printable in Unicode, yet invisible: fillers, joiners, variation selectors.
_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}.union(
    range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
)
#: Marks on the letter before them: accents, vowel signs, circles around it.
_MARKS = ("Mn", "Me")
#: More marks on one letter would reach into the lines above and below.
_MAX_MARKS = 3


def printable(text: str, limit: int = LIMIT) -> str:
    """Make a text safe to print: on one line, of limited length, and literal.

    Control characters (escape sequences, C1, newlines), bidirectional and
    zero-width characters become backslash escapes.

    :param limit: characters; a longer text is cut, and says so.
    """
    shown = []
    marks = 0
    for character in text[:limit]:
        marks = marks + 1 if unicodedata.category(character) in _MARKS else 0
        visible = character.isprintable() and ord(character) not in _INVISIBLE
        if visible and marks <= _MAX_MARKS:
            shown.append(character)
        else:
            shown.append(character.encode("unicode_escape", "surrogatepass").decode("ascii"))
    if len(text) > limit:
        shown.append(f"… ({len(text) - limit:,} more characters)")
    return "".join(shown)
