"""Single characters of strangers' texts, named so that a person can find them."""

from __future__ import annotations


def describe(character: str) -> str:
    """Name one character in printable ASCII: ``'b' (U+0062)``, ``U+200B ZERO WIDTH SPACE``."""
    code_point = f"U+{ord(character):04X}"
    if character.isascii() and character.isprintable() and character != " ":
        return f"'{character}' ({code_point})"
    import unicodedata  # It is not needed for a string without faults.

    return f"{code_point} {unicodedata.name(character, '')}".rstrip()
