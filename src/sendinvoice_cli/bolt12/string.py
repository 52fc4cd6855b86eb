"""BOLT 12's ASCII form: a prefix, ``1``, and data in bech32's alphabet without a checksum.

Source: BOLT 12, "Encoding".
"""

from __future__ import annotations

import base64
import binascii
import re

from ..errors import MalformedError

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_RFC_4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_RFC_4648 = str.maketrans(_ALPHABET, _RFC_4648)
_FROM_RFC_4648 = str.maketrans(_RFC_4648, _ALPHABET)

_NOT_IN_ALPHABET = re.compile(f"[^{_ALPHABET}]")
_CONTINUATION = re.compile(r"(?<=[0-9A-Za-z])\+[ \t\r\n\v\f]*(?=[0-9A-Za-z])")

#: What begins like a BOLT 12 string, and is something else.
_OTHERS = {
    "lno": "an offer, which asks to be paid",
    "lnr": "an invoice_request",
    "lni": "an invoice, which asks to be paid",
    "lnbc": "a BOLT 11 invoice, which asks to be paid",
}

#: What to do about a string that makes no sense.
CUT_SHORT = "was it copied whole?"

#: Longest string accepted, in characters. An onion message carries less than
#: 32 KiB, so nothing that could be answered comes near.
MAX_LENGTH = 64 * 1024


def decode(text: str, prefix: str) -> bytes:
    """Decode a BOLT 12 string.

    Upper case, ``+`` continuations, white space around it and a ``lightning:``
    in front are accepted.

    :param prefix: the human-readable part wanted, such as ``lnr``.
    :returns: the TLV stream.
    :raises MalformedError: not such a string.
    """
    if len(text) > MAX_LENGTH:
        raise MalformedError(f"the {prefix}1 string is longer than {MAX_LENGTH} characters")
    text = text.strip()
    if text[:10].lower() == "lightning:":
        text = text[10:]
    text = _CONTINUATION.sub("", text)
    if not text.isascii():
        raise MalformedError(f"the {prefix}1 string holds a character that is not ASCII")
    if text != text.lower():
        if text != text.upper():
            raise MalformedError(f"the {prefix}1 string mixes upper and lower case")
        text = text.lower()
    found, separator, data = text.partition("1")
    if not separator or found != prefix:
        raise MalformedError(
            f"the string does not begin with {prefix}1",
            hint=f"it is {_OTHERS[found]}" if found in _OTHERS else None,
        )
    stray = _NOT_IN_ALPHABET.search(data)
    if stray is not None:
        raise MalformedError(f"{stray.group()!a} is not a character of a BOLT 12 string")
    if not data:
        raise MalformedError(f"nothing follows {prefix}1")
    try:
        decoded = base64.b32decode(data.translate(_TO_RFC_4648) + "=" * (-len(data) % 8))
    except binascii.Error:
        decoded = b""
    if _base32(decoded) != data:
        raise MalformedError(
            f"the {prefix}1 string ends with bits that belong to no byte", hint=CUT_SHORT
        )
    return decoded


def encode(prefix: str, data: bytes) -> str:
    """Encode a TLV stream as a lower-case BOLT 12 string."""
    return f"{prefix}1{_base32(data)}"


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").translate(_FROM_RFC_4648)
