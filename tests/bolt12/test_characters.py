from __future__ import annotations

import pytest

from sendinvoice_cli.bolt12.characters import describe, find_banned


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("b", "'b' (U+0062)"),
        ("'", "''' (U+0027)"),
        (" ", "U+0020 SPACE"),
        ("\n", "U+000A"),
        ("\N{ZERO WIDTH SPACE}", "U+200B ZERO WIDTH SPACE"),
        ("\udcff", "U+DCFF"),
        ("\U0001f600", "U+1F600 GRINNING FACE"),
    ],
)
def test_name_of_a_character(character: str, name: str) -> None:
    assert describe(character) == name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("K\u00e4se & Co. \N{CJK UNIFIED IDEOGRAPH-4E00} \U0001f600\N{NO-BREAK SPACE}", None),
        ("a\tb\n", "\t"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "\N{RIGHT-TO-LEFT OVERRIDE}"),
        ("\N{SOFT HYPHEN}", "\N{SOFT HYPHEN}"),
        ("\ue000", "\ue000"),
        ("\u0378", "\u0378"),
        ("\N{COMBINING ACUTE ACCENT}", None),
    ],
)
def test_character_that_texts_may_not_have(text: str, found: str | None) -> None:
    """bolts PR 1341: control, format, private-use and unassigned ones."""
    assert find_banned(text) == found
