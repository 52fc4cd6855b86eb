"""BOLT 12 strings: a prefix, ``1``, and data in bech32's alphabet, without a checksum.

Source: BOLT 12, "Encoding".
"""

from __future__ import annotations

import base64
import re

from ..errors import MalformedError

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
#: The digits of Python's base 32, and those of RFC 4648.
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_RFC_4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_DIGITS = str.maketrans(_ALPHABET, _DIGITS)
_FROM_RFC_4648 = str.maketrans(_RFC_4648, _ALPHABET)

_CHARACTERS = frozenset(_ALPHABET)
_CONTINUATION = re.compile(r"(?<=[0-9A-Za-z])\+[ \t\r\n\v\f]*(?=[0-9A-Za-z])")

#: What else a string may be, by how it begins in lower case.
_OTHERS = (
    (re.compile("lno1"), "an offer, which asks to be paid"),
    (re.compile("lnr1"), "an invoice_request"),
    (re.compile("lni1"), "an invoice, which asks to be paid"),
    (re.compile("lnp1"), "a payer proof, which shows that something was paid"),
    (re.compile("lnurl[a-z]?(?:1|:)"), "an LNURL, which is no part of BOLT 12"),
    (
        re.compile("ln(?:bcrt|bc|tbs|tb)(?:[0-9]+[munp]?)?1"),
        "a BOLT 11 invoice, which asks to be paid",
    ),
)

_LIGHTNING_URI = "lightning:"
_BITCOIN_URI = "bitcoin:"
_PERCENT = re.compile("%([0-9A-Fa-f]{2})")
#: Readers must understand a key with this prefix (BIP 321, "Forward compatibility").
_REQUIRED = "req-"

#: Hint for a string that ends too early.
CUT_SHORT = "was it copied whole?"

#: Longest string accepted, in characters: over 32 KiB of data, more than an onion
#: message can carry.
MAX_LENGTH = 64 * 1024


def decode(text: str, prefix: str) -> bytes:
    """Decode a BOLT 12 string.

    Upper case, ``+`` continuations, white space around it and ``lightning:`` in
    front are accepted, and so is a ``bitcoin:`` URI (BIP 321) with the prefix as
    a key, such as ``bitcoin:?lnr=lnr1...``.

    :param text: any text; more than MAX_LENGTH characters are refused.
    :param prefix: the human-readable part wanted, such as ``lnr``.
    :returns: the TLV stream, at least one byte.
    :raises MalformedError: not such a string; the hint says what it may be instead.
    """
    if len(text) > MAX_LENGTH:
        raise MalformedError(f"the {prefix}1 string is longer than {MAX_LENGTH} characters")
    text = text.strip()
    if text[: len(_BITCOIN_URI)].lower() == _BITCOIN_URI:
        return _decode_uri(text, prefix)
    if text[: len(_LIGHTNING_URI)].lower() == _LIGHTNING_URI:
        text = text[len(_LIGHTNING_URI) :]
    return _decode_plain(text, prefix)


def encode(prefix: str, data: bytes) -> str:
    """Encode a TLV stream as a lower-case BOLT 12 string."""
    return f"{prefix}1{_base32(data)}"


def _decode_uri(uri: str, prefix: str) -> bytes:
    """Decode the value of one key of a ``bitcoin:`` URI (BIP 321)."""
    query = uri.partition("#")[0].partition("?")[2]
    values = []
    keys = set()
    for parameter in query.split("&"):
        key, _, value = parameter.partition("=")
        key = _unquote(key).lower()
        keys.add(key)
        if key.removeprefix(_REQUIRED) == prefix:
            values.append(_unquote(value))
        elif key.startswith(_REQUIRED):
            raise MalformedError(
                f"the bitcoin: URI has the key {_shorten(key)}, which this version does not know, "
                "and may not ignore"
            )
    if not values:
        instead = "holds an offer, which asks to be paid" if "lno" in keys else "asks to be paid"
        raise MalformedError(f"the bitcoin: URI has no {prefix}", hint=f"it {instead}")
    decoded = {_decode_plain(value, prefix) for value in values}
    if len(decoded) > 1:
        # We do not guess which of them to answer: it is about money.
        raise MalformedError(
            f"the bitcoin: URI has several different {prefix} keys",
            hint=f"give the {prefix}1 string of one of them",
        )
    return decoded.pop()


def _unquote(text: str) -> str:
    """Undo percent-encoding, once. Anything else stays as it is."""
    # Bytes above 7F become characters that are not ASCII, which are refused later.
    return _PERCENT.sub(lambda code: chr(int(code[1], 16)), text)


def _shorten(key: str) -> str:
    """A stranger's words for a message: printable ASCII, 40 characters at most."""
    return ascii(key if len(key) <= 40 else f"{key[:40]}...")


def _decode_plain(text: str, prefix: str) -> bytes:
    """Decode a BOLT 12 string without a URI scheme."""
    text = _CONTINUATION.sub("", text)
    if not text.isascii():
        raise MalformedError(f"the {prefix}1 string holds a character that is not ASCII")
    if text != text.lower():
        if text != text.upper():
            raise MalformedError(f"the {prefix}1 string mixes upper and lower case")
        text = text.lower()
    found, separator, data = text.partition("1")
    if not separator or found != prefix:
        raise MalformedError(f"the string does not begin with {prefix}1", hint=_instead(text))
    if not _CHARACTERS.issuperset(data):
        stray = next(character for character in data if character not in _CHARACTERS)
        raise MalformedError(f"{stray!a} is not a character of a BOLT 12 string")
    if not data:
        raise MalformedError(f"nothing follows {prefix}1")
    size, rest = divmod(len(data) * 5, 8)
    value = int(data.translate(_TO_DIGITS), 32)
    # Bits that do not fill a byte are padding: fewer than 5, and all zero.
    if rest > 4 or value & ((1 << rest) - 1):
        raise MalformedError(f"the {prefix}1 string ends inside a byte", hint=CUT_SHORT)
    return (value >> rest).to_bytes(size, "big")


def _instead(text: str) -> str | None:
    """A hint at what a lower-case text is instead; None when it is nothing known."""
    for beginning, name in _OTHERS:
        if beginning.match(text):
            return f"it is {name}"
    return None


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").translate(_FROM_RFC_4648)
