"""Single characters of strangers' texts, named so that a person can find them."""

from __future__ import annotations

#: General categories of Unicode that utf8 fields are about to lose (bolts PR 1341): control,
#: format, private-use and unassigned characters.
_BANNED = frozenset(("Cc", "Cf", "Co", "Cn"))


def find_banned(text: str) -> str | None:
    """The first character that bolts PR 1341 bans from utf8 fields; None without one."""
    import unicodedata  # It is not needed for a request that lightningd takes.

    return next((each for each in text if unicodedata.category(each) in _BANNED), None)


def describe(character: str) -> str:
    """Name one character in printable ASCII: ``'b' (U+0062)``, ``U+200B ZERO WIDTH SPACE``."""
    code_point = f"U+{ord(character):04X}"
    if character.isascii() and character.isprintable() and character != " ":
        return f"'{character}' ({code_point})"
    import unicodedata  # It is not needed for a string without faults.

    return f"{code_point} {unicodedata.name(character, '')}".rstrip()
