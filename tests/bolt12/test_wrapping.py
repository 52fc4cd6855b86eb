"""What an lnr1 string may be wrapped in."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import string, wrapping
from sendinvoice_cli.errors import MalformedError

_DATA = b"\x00\x03abc\x0a\x05hello"
_TEXT = string.encode("lnr", _DATA)
_LONG_DATA = bytes(range(200))
_LONG = string.encode("lnr", _LONG_DATA)


def _read(text: str) -> bytes:
    return string.decode(wrapping.unwrap(text, "lnr"), "lnr")


def _fold(text: str, width: int, end: str) -> str:
    return end.join(text[at : at + width] for at in range(0, len(text), width))


@pytest.mark.parametrize(
    "form",
    [
        _TEXT,
        f"  {_TEXT}\n",
        f"\ufeff{_TEXT}",
        f"{_TEXT}\ufeff",
        f" \ufeff \ufeff{_TEXT}\N{NO-BREAK SPACE}\r\n\ufeff",
        f"lightning:{_TEXT}",
        f"LIGHTNING:{_TEXT.upper()}",
        f"lightning://{_TEXT}",
        f"Lightning://{_TEXT.upper()}",
        f"\tlightning:{_TEXT.upper()}\r\n",
        f"{_TEXT[:4]}+\r\n {_TEXT[4:]}",
        f'"{_TEXT}"',
        f"'{_TEXT}'\n",
        f"`{_TEXT}`",
        f'"lightning:{_TEXT}"',
        f'" {_TEXT} "',
        f"'bitcoin:?lnr={_TEXT}'",
        json.dumps({"bolt12": _TEXT}),
        json.dumps({"invreq_id": "00", "active": True, "bolt12": _TEXT, "used": False}, indent=3),
        json.dumps({"bolt12": f"lightning:{_TEXT.upper()}\n"}),
        json.dumps({"bolt12": _TEXT, "nested": {"bolt12": 1}}),
    ],
)
def test_accepted_forms(form: str) -> None:
    assert _read(form) == _DATA


@given(
    st.integers(10, 80),
    st.sampled_from(["\n", "\r\n", "\r", "\n  ", " \n"]),
    st.sampled_from(["", "lightning:", "bitcoin:?lnr=", '"']),
)
def test_folded_lines_are_joined(width: int, end: str, around: str) -> None:
    whole = around + _LONG + '"' * (around == '"')
    assert _read(_fold(whole, width, end)) == _LONG_DATA


@pytest.mark.parametrize("lines", [(40, 30, 40), (30, 40), (40, 40, 41), (40, 0, 40)])
def test_lines_of_different_lengths_are_not_joined(lines: tuple[int, ...]) -> None:
    """They may be several things: which line ends the request is not ours to guess."""
    parts, at = [], 0
    for size in lines:
        parts.append(_LONG[at : at + size])
        at += size
    with pytest.raises(MalformedError, match=r"^U\+000A at character"):
        _read("\n".join(parts))


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("", "the text is empty", "was it copied"),
        (" \n\ufeff", "the text is empty", "was it copied"),
        ('""', "the text is empty", "was it copied"),
        ("lightning:", "the text is empty", "was it copied"),
        (f"lightning:lightning:{_TEXT}", "does not begin with lnr1", "at character 11"),
        (f"lightning:///{_TEXT}", "does not begin with lnr1", "at character 2"),
        (f'"{_TEXT}', "does not begin with lnr1", "at character 2"),
        (f'{_TEXT}"', "'\"' .* is not a character", "remove it"),
        (f"'{_TEXT}\"", "does not begin with lnr1", "at character 2"),
        ("{}", "the JSON object has no bolt12", "lnr1 string by itself"),
        ('{"bolt12": null}', "the JSON object has no bolt12", "lnr1 string by itself"),
        ('{"bolt12": ["lnr1"]}', "the JSON object has no bolt12", "lnr1 string by itself"),
        (f'{{"bolt12": "{_TEXT}"', "begins like JSON, and is none", "lnr1 string by itself"),
        (f'{{"bolt12": "{_TEXT}", "bolt12": "x"}}', "several different bolt12", "by itself"),
        ('{"a":' * 10_000, "begins like JSON, and is none", "lnr1 string by itself"),
        (f'["{_TEXT}"]', "does not begin with lnr1", "at character 3"),
        ('{"bolt12": ""}', "the text is empty", "was it copied"),
        ('{"bolt12": "lno1qq"}', "does not begin with lnr1", "it is an offer"),
    ],
)
def test_refused_forms(text: str, reason: str, hint: str) -> None:
    with pytest.raises(MalformedError, match=reason) as refusal:
        _read(text)
    assert refusal.value.hint is not None
    assert re.search(hint, refusal.value.hint)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, "lnr1" + text, _TEXT + text, f'{{"bolt12": "{text}"}}'):
        try:
            decoded = _read(candidate)
        except MalformedError as refusal:
            said = f"{refusal.message} {refusal.hint}"
        else:
            # It was one spelling of this string.
            assert _read(string.encode("lnr", decoded)) == decoded
            continue
        assert said.isascii()
        assert said.isprintable()


@pytest.mark.parametrize("unit", ["\n", " \n", "q\n", "\ufeff ", '"', "{", "lightning:", "\\u"])
def test_a_long_text_of_anything_is_read_at_once(unit: str) -> None:
    """Were the time quadratic in the size, the second one would take minutes."""
    for size in (100, string.MAX_LENGTH):
        for text in (unit * size, "lnr1q" + unit * size):
            with pytest.raises(MalformedError):
                _read(text[: size - 8] + "b")


def test_size_limit() -> None:
    with pytest.raises(MalformedError, match="longer than 65536 characters"):
        _read(" " * (string.MAX_LENGTH + 1))


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
    assert _read(uri) == _DATA


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
        (f"bitcoin:?lnr={_TEXT}=", "'=' .* is not a character"),
        (f"bitcoin:?lnr={_TEXT[:9]}%zz{_TEXT[9:]}", "'%' .* is not a character"),
        (f"bitcoin:?lnr={_TEXT}%", "'%' .* is not a character"),
        (f"bitcoin:?lnr={_TEXT}%0", "'%' .* is not a character"),
        (f"bitcoin:?lnr={_TEXT}%00", r"U\+0000 at character 25 is not"),
        # Decoded once only.
        (f"bitcoin:?lnr={_percent('%71')}", "lnr1"),
        (f"bitcoin:?lnr={_TEXT}%C5%BF", "U\\+"),
        (f"bitcoin:?lnr={_TEXT}\N{KELVIN SIGN}", "U\\+"),
        (f"bitcoin:?lnr={_TEXT[:9]}%20{_TEXT[9:]}", "SPACE .* is not a character"),
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
        _read(uri)


@pytest.mark.parametrize("key", ["req-new", "REQ-NEW", "Req-pop", "req-", "r%65q-new", "req%2Dnew"])
@pytest.mark.parametrize("value", ["", "=", "=1"])
def test_a_key_that_must_be_understood_refuses_the_uri(key: str, value: str) -> None:
    """BIP 321: a reader that does not know a req- key must take the URI for invalid."""
    for uri in (f"bitcoin:?lnr={_TEXT}&{key}{value}", f"bitcoin:?{key}{value}&lnr={_TEXT}"):
        with pytest.raises(MalformedError, match=r"does not know, and may not ignore") as refusal:
            _read(uri)
        assert refusal.value.message.isascii()


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("req-" + "x" * 36, "'req-" + "x" * 36 + "'"),
        ("req-" + "x" * 37, "'req-" + "x" * 36 + "...'"),
    ],
)
def test_a_long_key_is_shortened(key: str, shown: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        _read(f"bitcoin:?lnr={_TEXT}&{key}=1")
    assert f"has the key {shown}, which" in refusal.value.message


@given(st.text(max_size=40))
def test_any_uri_is_decoded_or_refused(text: str) -> None:
    for uri in (f"bitcoin:{text}", f"bitcoin:?{text}&lnr={_TEXT}", f"bitcoin:?lnr={_TEXT}&{text}"):
        try:
            assert _read(uri) == _DATA
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


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("bitcoin:", "ask the payer for an invoice_request"),
        ("bitcoin:?lno=lno1qq", "it holds an offer, which asks to be paid; ask"),
        (f"BITCOIN:{_ADDRESS.upper()}?LNO=LNO1QQ", "it holds an offer"),
        ("bitcoin:?lightning=lnbc1qq", "it holds a BOLT 11 invoice, which asks to be paid; ask"),
        ("bitcoin:?lightning=lno1qq", "it holds an offer"),
        (f"bitcoin:{_ADDRESS}?amount=1", "it asks to be paid; ask"),
        ("bitcoin:?lnr=lno1qq", "it is an offer"),
        (f"bitcoin:?lnr={_TEXT}&req-new=1", "ask the payer for the lnr1 string by itself"),
    ],
)
def test_what_a_uri_is_instead(uri: str, hint: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        _read(uri)
    assert refusal.value.hint is not None
    assert refusal.value.hint.startswith(hint)
