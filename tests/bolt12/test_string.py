from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import string, tlv
from sendinvoice_cli.errors import MalformedError
from tests import vectors

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
    "form",
    [
        f"  {_TEXT}\n",
        f"lightning:{_TEXT}",
        f"LIGHTNING:{_TEXT.upper()}",
        f"Lightning:{_TEXT}",
        f"\tlightning:{_TEXT.upper()}\r\n",
        f"{_TEXT[:4]}+\r\n {_TEXT[4:]}",
    ],
)
def test_accepted_forms(form: str) -> None:
    assert string.decode(form, "lnr") == _DATA


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("", "does not begin with lnr1"),
        ("lnr", "does not begin with lnr1"),
        ("lnr1", "nothing follows lnr1"),
        ("lightning:", "does not begin with lnr1"),
        (_TEXT.replace("lnr", "lno"), "does not begin with lnr1"),
        (_TEXT.replace("lnr", "lni"), "does not begin with lnr1"),
        (f"bitcoin:{_TEXT}", "does not begin with lnr1"),
        (f"lightning:lightning:{_TEXT}", "does not begin with lnr1"),
        (f"{_TEXT[:8]}{_TEXT[8:].upper()}", "mixes upper and lower case"),
        (f"LNR1{_TEXT[4:]}", "mixes upper and lower case"),
        (f"{_TEXT[:9]} {_TEXT[9:]}", "' ' is not a character"),
        (f"{_TEXT[:9]}\n{_TEXT[9:]}", r"'\\n' is not a character"),
        (f"{_TEXT}+", r"'\+' is not a character"),
        (f"{_TEXT[:9]}++{_TEXT[9:]}", r"'\+' is not a character"),
        (f"{_TEXT[:9]}+ +{_TEXT[9:]}", r"'\+' is not a character"),
        (f"+{_TEXT}", "does not begin with lnr1"),
        (f"{_TEXT}b", "'b' is not a character"),
        (f"{_TEXT}i", "'i' is not a character"),
        (f"{_TEXT}1", "'1' is not a character"),
        (f"{_TEXT}\0", r"'\\x00' is not a character"),
        (f"{_TEXT}\x1b[31m", r"'\\x1b' is not a character"),
        # Lower-cased, these two would be k and i.
        (f"{_TEXT}\N{KELVIN SIGN}", "not ASCII"),
        (f"{_TEXT.upper()}\N{KELVIN SIGN}", "not ASCII"),
        (f"\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}{_TEXT}", "not ASCII"),
        (f"{_TEXT}\N{FULLWIDTH LATIN SMALL LETTER Q}", "not ASCII"),
        (f"l\N{ZERO WIDTH SPACE}{_TEXT[1:]}", "not ASCII"),
        (f"{_TEXT[:9]}+\N{NO-BREAK SPACE}{_TEXT[9:]}", "not ASCII"),
        (f"{_TEXT}\udcff", "not ASCII"),
    ],
)
def test_refused_forms(form: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        string.decode(form, "lnr")


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
    with pytest.raises(MalformedError, match="ends with bits"):
        string.decode("lnr1" + data, "lnr")


def test_size_limit() -> None:
    # 5 bytes are 8 characters.
    longest = string.encode("lnr", bytes((string.MAX_LENGTH - 8) * 5 // 8))
    assert len(longest) > string.MAX_LENGTH - 8
    assert len(string.decode(longest, "lnr")) == (string.MAX_LENGTH - 8) * 5 // 8
    with pytest.raises(MalformedError, match="longer than 65536 characters"):
        string.decode(longest + "q" * 8, "lnr")
