from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.render.text import LIMIT, printable

_HOSTILE = {
    "colour": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "window title": ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    "clear the screen": ("\x1b[2J\x1bc", r"\x1b[2J\x1bc"),
    "C1 control sequence": ("\x9b31m", r"\x9b31m"),
    "C1 string": ("\x90q\x9c", r"\x90q\x9c"),
    "newline": ("one\ntwo\r\nthree", r"one\ntwo\r\nthree"),
    "carriage return over what was there": ("bad\rgood", r"bad\rgood"),
    "tab, backspace, delete, null": ("\t\b\x7f\0", r"\t\x08\x7f\x00"),
    "line and paragraph separator": ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
    "bidi override": ("\u202egpj.exe", r"\u202egpj.exe"),
    "bidi embeddings": ("\u202a\u202b\u202c\u202d", r"\u202a\u202b\u202c\u202d"),
    "bidi isolates": ("\u2066\u2067\u2068\u2069", r"\u2066\u2067\u2068\u2069"),
    "bidi marks": ("\u200e\u200f\u061c", r"\u200e\u200f\u061c"),
    "zero width": ("a\u200bb\u200cc\u200dd\ufeffe\u2060", r"a\u200bb\u200cc\u200dd\ufeffe\u2060"),
    "soft hyphen": ("a\xadb", r"a\xadb"),
    "odd spaces": ("a\xa0b\u2003c\u3000", r"a\xa0b\u2003c\u3000"),
    "fillers": ("\u3164\u115f\u1160\uffa0\u2800", r"\u3164\u115f\u1160\uffa0\u2800"),
    "variation selectors": ("a\ufe0f\U000e0100", r"a\ufe0f\U000e0100"),
    "tags": ("\U000e0001\U000e0041", r"\U000e0001\U000e0041"),
    "lone surrogate": ("\udc9b\ud800", r"\udc9b\ud800"),
    "private use": ("\ue000\U0010ffff", r"\ue000\U0010ffff"),
}

#: Unicode's Default_Ignorable_Code_Point: all of them are invisible.
_IGNORABLE = [
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFF9),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
]


@pytest.mark.parametrize(("text", "shown"), _HOSTILE.values(), ids=list(_HOSTILE))
def test_hostile_text_is_shown_literally(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "A refund",
        "[red]markup[/red] [link=https://example.com]click[/link] :smile: \\[",
        "ünïcödé ₿ 日本語 العربية עברית Việt Nam ไทย",
        "e\u0301 \N{GRINNING FACE} \N{EM DASH}",
        "",
        # A Thai letter with a vowel and a tone, a Hebrew one with three points.
        "\u0e17\u0e35\u0e48 \u05e9\u05c1\u05bc\u05b8",
    ],
)
def test_harmless_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param("\u0301", id="acute"),
        pytest.param("\u0336", id="overlay"),
        pytest.param("\u0489", id="around the letter"),
        pytest.param("\u20dd", id="circle"),
        pytest.param("\u0e47", id="Thai vowel"),
    ],
)
def test_marks_do_not_pile_up(mark: str) -> None:
    shown = printable("Z" + mark * 100 + "a" + mark)
    assert shown.count(mark) == 4
    assert shown.endswith("a" + mark)


def test_marks_without_a_letter_do_not_pile_up() -> None:
    assert printable("\u0301" * 400).count("\u0301") <= 3


def test_invisible_characters_are_escaped() -> None:
    for code in _IGNORABLE:
        assert printable(chr(code)).isascii(), hex(code)


def test_every_character_is_printable_or_escaped_in_ascii() -> None:
    for code in range(sys.maxunicode + 1):
        shown = printable(chr(code))
        assert shown.isprintable(), hex(code)
        if shown != chr(code):
            assert shown.isascii(), hex(code)


@given(st.text())
def test_any_text_comes_out_printable(text: str) -> None:
    assert printable(text).isprintable()


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * LIMIT) == "x" * LIMIT
    assert printable("x" * (LIMIT + 1)) == "x" * LIMIT + "… (1 more characters)"
    assert printable("x" * 3_000_500) == "x" * LIMIT + "… (3,000,000 more characters)"
    assert printable("abcdef", 3) == "abc… (3 more characters)"


def test_escaped_text_is_bounded() -> None:
    assert len(printable("\U000e0001" * 5_000_000)) <= 10 * LIMIT + 40
