from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import string, tlv
from sendinvoice_cli.bolt12.string import Kind
from sendinvoice_cli.errors import MalformedError
from tests.support import vectors

_DATA = b"\x00\x03abc\x0a\x05hello"
_TEXT = string.encode("lnr", _DATA)


@pytest.mark.parametrize("vector", vectors.cases("strings", "accepted"))
def test_vectors_of_accepted_strings(vector: dict[str, str]) -> None:
    records = tlv.decode_stream(string.decode(vector["text"], "lno"))
    assert [record.type for record in records] == [8, 10, 18, 22]


@pytest.mark.parametrize("vector", vectors.cases("strings", "refused"))
def test_vectors_of_refused_strings(vector: dict[str, str]) -> None:
    with pytest.raises(MalformedError):
        string.decode(vector["text"], "lno")


@given(st.sampled_from(["lno", "lnr", "lni"]), st.binary(min_size=1, max_size=200))
def test_round_trip(prefix: str, data: bytes) -> None:
    text = string.encode(prefix, data)
    assert string.decode(text, prefix) == data
    assert string.decode(text.upper(), prefix) == data


@given(st.text(max_size=80))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    for candidate in (text, "lnr1" + text, _TEXT + text):
        try:
            decoded = string.decode(candidate, "lnr")
        except MalformedError as refusal:
            message = refusal.message
        else:
            # It was one spelling of this string.
            assert string.decode(string.encode("lnr", decoded), "lnr") == decoded
            continue
        assert message.isascii()
        assert message.isprintable()


@given(st.data())
def test_continuations_anywhere(data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(_TEXT) - 1))
    space = data.draw(st.text(" \t\r\n", max_size=5))
    assert string.decode(f"{_TEXT[:at]}+{space}{_TEXT[at:]}", "lnr") == _DATA


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("", "there is no lnr1 string: the text is empty", "was it copied"),
        ("lnr", "does not begin with lnr1", "ask the payer for a string that begins with lnr1"),
        ("lnr1", "nothing follows lnr1", "copied whole"),
        (f"+{_TEXT}", "does not begin with lnr1", "begins at character 2"),
        (f"QR-Code:{_TEXT}", "does not begin with lnr1", "begins at character 9"),
        (f"qr-code:{_TEXT.upper()}", "does not begin with lnr1", "begins at character 9"),
        (f"lightning:lightning:{_TEXT}", "does not begin with lnr1", "begins at character 21"),
        ("refund-4711", "does not begin with lnr1", "ask the payer"),
        # One case: the first letter of the rarer one is named.
        (f"L{_TEXT[1:]}", r"mixes upper and lower case: 'L' \(U\+004C\) at character 1$", "lower"),
        (f"LNR1{_TEXT[4:]}", r"'L' \(U\+004C\) at character 1$", "lower case"),
        (f"{_TEXT[:8]}{_TEXT[8].upper()}{_TEXT[9:]}", "'Z' .* at character 9$", "lower case"),
        (f"{_TEXT[:8].upper()}z{_TEXT[9:].upper()}", "'z' .* at character 9$", "lower case"),
        # Characters that can be seen.
        (f"{_TEXT[:9]} {_TEXT[9:]}", r"^U\+0020 SPACE at character 10 is not", "remove it"),
        (f"{_TEXT[:9]}\n{_TEXT[9:]}", r"^U\+000A at character 10 is not", "remove it"),
        (f"{_TEXT}+", rf"^'\+' \(U\+002B\) at character {len(_TEXT) + 1} is", "remove it"),
        (f"{_TEXT[:9]}++{_TEXT[9:]}", r"'\+' .* at character 10 is", "remove it"),
        (f"{_TEXT[:9]}+ +{_TEXT[9:]}", r"'\+' .* at character 10 is", "remove it"),
        (f"{_TEXT}b", "'b' .* is not a character", "it has no 1, b, i or o"),
        (f"{_TEXT}O", "'O' .* is not a character", "it has no 1, b, i or o"),
        (f"{_TEXT}1", "'1' .* is not a character", "it has no 1, b, i or o"),
        (f"{_TEXT}\n{_TEXT}", "U\\+000A at character", "several lnr1 strings: give one"),
        (f"{_TEXT}{_TEXT.upper()}", "'1' .* is not a character", "several lnr1 strings"),
        # Those that cannot be seen, or look like others.
        (f"{_TEXT}\0", r"^U\+0000 at character", "remove it"),
        (f"{_TEXT}\x1b[31m", r"^U\+001B at character", "remove it"),
        (f"{_TEXT}\N{KELVIN SIGN}", r"^U\+212A KELVIN SIGN at", "remove it"),
        (f"{_TEXT.upper()}\N{KELVIN SIGN}", r"^U\+212A KELVIN SIGN at", "remove it"),
        (f"{_TEXT}\N{FULLWIDTH LATIN SMALL LETTER Q}", r"^U\+FF51 FULLWIDTH LATIN", "remove"),
        (f"{_TEXT[:9]}\N{SOFT HYPHEN}{_TEXT[9:]}", r"^U\+00AD SOFT HYPHEN at character 10", "rem"),
        (f"{_TEXT}\N{RIGHT DOUBLE QUOTATION MARK}", r"^U\+201D RIGHT DOUBLE QUO", "remove it"),
        (f"{_TEXT[:9]}+\N{NO-BREAK SPACE}{_TEXT[9:]}", r"'\+' .* at character 10", "remove it"),
        (f"{_TEXT}\udcff", r"^U\+DCFF at character", "remove it"),
        # In front, or inside of the prefix.
        (f"l\N{ZERO WIDTH SPACE}{_TEXT[1:]}", "not begin with", r"U\+200B ZERO WIDTH SPACE at"),
        (f"\N{LEFT DOUBLE QUOTATION MARK}{_TEXT}", "not begin with", r"remove U\+201C .* 1$"),
        (f"\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}{_TEXT}", "not begin", r"remove U\+0130 .* 1$"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str, reason: str, hint: str) -> None:
    with pytest.raises(MalformedError, match=reason) as refusal:
        string.decode(text, "lnr")
    assert refusal.value.hint is not None
    assert re.search(hint, refusal.value.hint)


@given(
    st.characters(codec=None).filter(lambda each: not (each.isascii() and each.isalnum())),
    st.data(),
)
def test_an_odd_character_anywhere_is_named_with_its_place(odd: str, data: st.DataObject) -> None:
    """Continuations before it count: the place is that in the text as it was given."""
    at = data.draw(st.integers(4, len(_TEXT)))
    if odd == "+":
        return
    long = f"{_TEXT[:6]}+\r\n {_TEXT[6:]}"
    for text, place in ((_TEXT, at), (long, at + 4 * (at > 6))):
        with pytest.raises(MalformedError) as refusal:
            string.decode(text[:place] + odd + text[place:], "lnr")
        assert f"U+{ord(odd):04X}" in refusal.value.message
        assert f" at character {place + 1} " in refusal.value.message
        assert refusal.value.message.isascii()
        assert refusal.value.message.isprintable()


@pytest.mark.parametrize(
    "data",
    [
        "q",  # 5 bits are no byte
        "qqq",  # neither are 15
        "qqqqqq",  # nor 30
        "qp",  # a bit behind the first byte
        "qqqp",
        "qqqqp",
        "qqqqqqp",
    ],
)
def test_stray_bits_at_the_end_are_refused(data: str) -> None:
    with pytest.raises(MalformedError, match="ends inside a byte"):
        string.decode("lnr1" + data, "lnr")


def test_size_limit() -> None:
    # 5 bytes are 8 characters.
    longest = string.encode("lnr", bytes((string.MAX_LENGTH - 8) * 5 // 8))
    assert len(longest) > string.MAX_LENGTH - 8
    assert len(string.decode(longest, "lnr")) == (string.MAX_LENGTH - 8) * 5 // 8
    with pytest.raises(MalformedError, match="longer than 65536 characters"):
        string.decode(longest + "q" * 8, "lnr")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (_TEXT, Kind.REQUEST),
        (_TEXT.upper(), Kind.REQUEST),
        (f"Lightning://{_TEXT}", Kind.REQUEST),
        (f' \ufeff"{_TEXT}"', Kind.REQUEST),
        ("lno1qqq", Kind.OFFER),
        ("lni1qqq", Kind.INVOICE),
        ("LNP1QQQ", Kind.PAYER_PROOF),
        ("lnurl1dp68gurn8ghj7", Kind.LNURL),
        ("lnurlw://service.com/withdraw", Kind.LNURL),
        ("lnurlp:service.com", Kind.LNURL),
        ("lnbc1pvjluez", Kind.BOLT_11),
        ("LIGHTNING:LNBC1500N1PVJLUEZ", Kind.BOLT_11),
        ("lntb20m1pvjluez", Kind.BOLT_11),
        ("lntbs1pvjluez", Kind.BOLT_11),
        ("lnbcrt500u1pvjluez", Kind.BOLT_11),
        ("", None),
        ("lnx1qq", None),
        ("lnbcx1qq", None),
        ("lnb1qq", None),
        ("ln", None),
        ("http://lno1qq", None),
        ("lnurlx", None),
        ("refund-lnr1", None),
    ],
)
def test_what_a_string_is(text: str, kind: Kind | None) -> None:
    assert string.identify(text) is kind


@pytest.mark.parametrize("text", ["lno1qqq", "LNBC2500U1PVJLUEZ", "lnurlp:service.com"])
def test_another_kind_of_string_is_told_with_the_next_step(text: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        string.decode(text, "lnr")
    kind = string.identify(text)
    assert kind is not None
    assert (
        refusal.value.hint
        == f"it is {kind.value}; ask the payer for a string that begins with lnr1"
    )
