from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import string, tlv
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
        (f"bitcoin:{_TEXT}", "the bitcoin: URI has no lnr"),
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
    with pytest.raises(MalformedError, match="ends inside a byte"):
        string.decode("lnr1" + data, "lnr")


def test_size_limit() -> None:
    # 5 bytes are 8 characters.
    longest = string.encode("lnr", bytes((string.MAX_LENGTH - 8) * 5 // 8))
    assert len(longest) > string.MAX_LENGTH - 8
    assert len(string.decode(longest, "lnr")) == (string.MAX_LENGTH - 8) * 5 // 8
    with pytest.raises(MalformedError, match="longer than 65536 characters"):
        string.decode(longest + "q" * 8, "lnr")


# --- bitcoin: URIs (BIP 321) ---

_OTHER = string.encode("lnr", b"\x00\x03xyz")
_ADDRESS = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"


def _percent(text: str) -> str:
    return "".join(f"%{ord(each):02x}" for each in text)


@pytest.mark.parametrize(
    "uri",
    [
        f"bitcoin:?lnr={_TEXT}",
        f"BITCOIN:?LNR={_TEXT.upper()}",
        f"  BitCoin:?lNr={_TEXT.upper()}\n",
        f"bitcoin:{_ADDRESS}?lnr={_TEXT}",
        f"bitcoin:{_ADDRESS}?amount=0.1&label=a%20b&lnr={_TEXT}&somethingnew=50&flag",
        f"bitcoin:?lno=lno1qq&lnr={_TEXT}&lightning=lnbc1qq",
        f"bitcoin:?lnr={_percent(_TEXT)}",
        f"bitcoin:?lnr={_percent(_TEXT.upper()).upper()}",
        f"bitcoin:?{_percent('lnr')}={_TEXT}",
        f"bitcoin:?lnr={_TEXT[:9]}+{_TEXT[9:]}",
        f"bitcoin:?lnr={_TEXT[:9]}%2B%0D%0A%20{_TEXT[9:]}",
        f"bitcoin:?lnr={_TEXT}#fragment",
        f"bitcoin:?lnr={_TEXT}#&req-new=1",
        f"bitcoin:?&&lnr={_TEXT}&",
        f"bitcoin:?req-lnr={_TEXT}",
        # The same request twice is one request, however it is spelled.
        f"bitcoin:?lnr={_TEXT}&LNR={_TEXT.upper()}&lnr={_percent(_TEXT)}",
    ],
)
def test_uris(uri: str) -> None:
    assert string.decode(uri, "lnr") == _DATA


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("bitcoin:", "has no lnr"),
        ("bitcoin:?", "has no lnr"),
        (f"bitcoin:{_ADDRESS}", "has no lnr"),
        (f"bitcoin:{_ADDRESS}?amount=1", "has no lnr"),
        (f"bitcoin:?xlnr={_TEXT}", "has no lnr"),
        (f"bitcoin:lnr={_TEXT}", "has no lnr"),
        (f"bitcoin:?lno={_TEXT}", "has no lnr"),
        ("bitcoin:?lnr", "lnr1"),
        ("bitcoin:?lnr=", "lnr1"),
        ("bitcoin:?lnr=lnr1", "nothing follows"),
        (f"bitcoin:?lnr={_TEXT}=", "'=' is not a character"),
        (f"bitcoin:?lnr={_TEXT[:9]}%zz{_TEXT[9:]}", "'%' is not a character"),
        (f"bitcoin:?lnr={_TEXT}%", "'%' is not a character"),
        (f"bitcoin:?lnr={_TEXT}%0", "'%' is not a character"),
        (f"bitcoin:?lnr={_TEXT}%00", r"'\\x00' is not a character"),
        # Decoded once only.
        (f"bitcoin:?lnr={_percent('%71')}", "lnr1"),
        (f"bitcoin:?lnr={_TEXT}%C5%BF", "not ASCII"),
        (f"bitcoin:?lnr={_TEXT}\N{KELVIN SIGN}", "not ASCII"),
        (f"bitcoin:?lnr={_TEXT[:9]}%20{_TEXT[9:]}", "' ' is not a character"),
        (f"bitcoin:?lnr={_TEXT[:9]}{_TEXT[9:].upper()}", "mixes upper and lower case"),
        (f"bitcoin:?lnr=lightning:{_TEXT}", "does not begin with lnr1"),
        (f"lightning:bitcoin:?lnr={_TEXT}", "does not begin with lnr1"),
        # Which of them is meant?
        (f"bitcoin:?lnr={_TEXT}&lnr={_OTHER}", "several different lnr keys"),
        (f"bitcoin:?lnr={_TEXT}&req-lnr={_OTHER}", "several different lnr keys"),
        (f"bitcoin:?lnr={_TEXT}&lnr=", "lnr1"),
    ],
)
def test_refused_uris(uri: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        string.decode(uri, "lnr")


@pytest.mark.parametrize("key", ["req-new", "REQ-NEW", "Req-pop", "req-", "r%65q-new", "req%2Dnew"])
@pytest.mark.parametrize("value", ["", "=", "=1"])
def test_a_key_that_must_be_understood_refuses_the_uri(key: str, value: str) -> None:
    """BIP 321: a reader that does not know a req- key must take the URI for invalid."""
    for uri in (f"bitcoin:?lnr={_TEXT}&{key}{value}", f"bitcoin:?{key}{value}&lnr={_TEXT}"):
        with pytest.raises(MalformedError, match=r"does not know, and may not ignore") as refusal:
            string.decode(uri, "lnr")
        assert refusal.value.message.isascii()


@given(st.text(max_size=40))
def test_any_uri_is_decoded_or_refused(text: str) -> None:
    for uri in (f"bitcoin:{text}", f"bitcoin:?{text}&lnr={_TEXT}", f"bitcoin:?lnr={_TEXT}&{text}"):
        try:
            assert string.decode(uri, "lnr") == _DATA
        except MalformedError as refusal:
            message = refusal.message
        else:
            continue
        assert message.isascii()
        assert message.isprintable()


@pytest.mark.parametrize("unit", ["&", "%", "%2", "+ ", "lnr=", "&lnr=lnr1q", "&lnr=lnr1qq", "="])
def test_a_long_uri_of_anything_is_read_at_once(unit: str) -> None:
    """Were the time quadratic in the size, the second one would take minutes."""
    for size in (100, string.MAX_LENGTH):
        uri = ("bitcoin:?lnr=lnr1qq" + unit * size)[: size - 8]
        with pytest.raises(MalformedError):
            string.decode(uri + "&req-new", "lnr")


# --- what it is instead ---


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("lno1qqq", "it is an offer"),
        ("LNO1QQQ", "it is an offer"),
        ("lni1qqq", "it is an invoice"),
        ("lnp1qqq", "it is a payer proof"),
        ("lnurl1dp68gurn8ghj7", "it is an LNURL"),
        ("LIGHTNING:LNURL1DP68GURN8GHJ7", "it is an LNURL"),
        ("lnurlw://service.com/withdraw", "it is an LNURL"),
        ("lnurlp:service.com", "it is an LNURL"),
        ("lnbc1pvjluez", "it is a BOLT 11 invoice"),
        ("lnbc2500u1pvjluez", "it is a BOLT 11 invoice"),
        ("LIGHTNING:LNBC1500N1PVJLUEZ", "it is a BOLT 11 invoice"),
        ("lntb20m1pvjluez", "it is a BOLT 11 invoice"),
        ("lntbs1pvjluez", "it is a BOLT 11 invoice"),
        ("lnbcrt500u1pvjluez", "it is a BOLT 11 invoice"),
        ("bitcoin:?lno=lno1qq", "it holds an offer"),
        (f"BITCOIN:{_ADDRESS.upper()}?LNO=LNO1QQ", "it holds an offer"),
        ("bitcoin:?lightning=lnbc1qq", "it asks to be paid"),
        (f"bitcoin:{_ADDRESS}?amount=1", "it asks to be paid"),
        ("bitcoin:?lnr=lno1qq", "it is an offer"),
    ],
)
def test_what_it_is_instead(text: str, hint: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        string.decode(text, "lnr")
    assert refusal.value.hint is not None
    assert refusal.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "text", ["", "lnx1qq", "lnbcx1qq", "lnb1qq", "ln", "http://lno1qq", "lnurlx"]
)
def test_no_guess_about_what_is_not_known(text: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        string.decode(text, "lnr")
    assert refusal.value.hint is None
