"""Making text from strangers harmless on a terminal."""

from __future__ import annotations

import unicodedata

#: Longest text shown, in characters. JSON output has it whole.
LIMIT = 500

#: Printable for Unicode, and yet nothing to see: fillers, joiners, variation selectors.
_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}.union(
    range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
)
#: Marks that stand on the letter before them: accents, vowel signs, circles around it.
_MARKS = ("Mn", "Me")
#: More marks than that on one letter reach into the lines above and below.
_MAX_MARKS = 3


def printable(text: str, limit: int = LIMIT) -> str:
    """Show a text literally, on one line, and bounded.

    Control characters (escape sequences, C1, newlines), bidirectional and
    zero-width characters come out as backslash escapes.

    :param limit: characters; what is longer is cut, and says so.
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
