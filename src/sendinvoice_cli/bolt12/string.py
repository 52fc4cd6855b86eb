"""BOLT 12 strings: a prefix, ``1``, and data in bech32's alphabet, without a checksum.

Source: BOLT 12, "Encoding".
"""

from __future__ import annotations

import base64
import re
from enum import Enum

from ..errors import MalformedError
from .characters import describe

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
#: The digits of Python's base 32, and those of RFC 4648.
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_RFC_4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_DIGITS = str.maketrans(_ALPHABET, _DIGITS)
_FROM_RFC_4648 = str.maketrans(_RFC_4648, _ALPHABET)

_CHARACTERS = frozenset(_ALPHABET + _ALPHABET.upper())
# Patterns are compiled when they are first used, since most commands need none of them.
_CONTINUATION = r"(?<=[0-9A-Za-z])\+[ \t\r\n\v\f]*(?=[0-9A-Za-z])"
#: What nobody sees, or takes for something else.
_UNSEEN = r"[^\x21-\x7e]+"

#: Hint for a string that ends too early.
CUT_SHORT = "was it copied whole?"

#: Longest string accepted, in characters: over 32 KiB of data, more than an onion
#: message can carry.
MAX_LENGTH = 64 * 1024


class Kind(Enum):
    """What a string is, in words for people."""

    OFFER = "an offer, which asks to be paid"
    REQUEST = "an invoice_request"
    INVOICE = "an invoice, which asks to be paid"
    PAYER_PROOF = "a payer proof, which shows that something was paid"
    LNURL = "an LNURL, which is no part of BOLT 12"
    BOLT_11 = "a BOLT 11 invoice, which asks to be paid"


#: How each kind begins, in lower case.
_BEGINNINGS = (
    (Kind.OFFER, "lno1"),
    (Kind.REQUEST, "lnr1"),
    (Kind.INVOICE, "lni1"),
    (Kind.PAYER_PROOF, "lnp1"),
    (Kind.LNURL, "lnurl[a-z]?(?:1|:)"),
    (Kind.BOLT_11, "ln(?:bcrt|bc|tbs|tb)(?:[0-9]+[munp]?)?1"),
)
_BEFORE = r"\A[\s\ufeff\"'`]*(?:lightning:(?://)?)?"
#: More characters than what tells the kind, and is in front of it.
_BEGINNING_SIZE = 200


def identify(text: str) -> Kind | None:
    """What a string is by its beginning, whatever its case; None when that is nothing known.

    White space, quotes and ``lightning:`` in front of it are skipped.
    """
    beginning = text[:_BEGINNING_SIZE].lower()
    beginning = re.sub(_BEFORE, "", beginning, count=1)
    if not beginning.startswith("ln"):
        return None
    return next((kind for kind, pattern in _BEGINNINGS if re.match(pattern, beginning)), None)


def decode(text: str, prefix: str) -> bytes:
    """Decode a BOLT 12 string of one case, with or without ``+`` continuations.

    :param text: any text; more than MAX_LENGTH characters are refused.
    :param prefix: the human-readable part wanted, such as ``lnr``.
    :returns: the TLV stream, at least one byte.
    :raises MalformedError: not such a string; the hint says what it may be instead.
    """
    check_length(text, prefix)
    # BOLT 12, "Encoding": a + between two characters goes, with the white space after it.
    joined = re.sub(_CONTINUATION, "", text) if "+" in text else text
    start = len(prefix) + 1
    if joined[:start].lower() != f"{prefix}1":
        raise _beginning_error(joined, prefix)
    data = joined[start:]
    if not _CHARACTERS.issuperset(data):
        raise _stray_error(text, joined, prefix)
    # BOLT 12, "Encoding": all lower or all upper case.
    if joined not in (joined.lower(), joined.upper()):
        raise _case_error(text, joined, prefix)
    if not data:
        raise MalformedError(f"nothing follows {prefix}1", hint=CUT_SHORT)
    size, rest = divmod(len(data) * 5, 8)
    value = int(data.lower().translate(_TO_DIGITS), 32)
    # BOLT 12's vectors: bits that do not fill a byte are padding, fewer than 5, and all zero.
    if rest > 4 or value & ((1 << rest) - 1):
        raise MalformedError(f"the {prefix}1 string ends inside a byte", hint=CUT_SHORT)
    return (value >> rest).to_bytes(size, "big")


def encode(prefix: str, data: bytes) -> str:
    """Encode a TLV stream as a lower-case BOLT 12 string."""
    digits = base64.b32encode(data).decode("ascii").rstrip("=")
    return f"{prefix}1{digits.translate(_FROM_RFC_4648)}"


def check_length(text: str, prefix: str) -> None:
    """Refuse a text of more than MAX_LENGTH characters.

    :raises MalformedError: it is longer.
    """
    if len(text) > MAX_LENGTH:
        raise MalformedError(
            f"the {prefix}1 string is longer than {MAX_LENGTH} characters",
            hint="no payer makes such a string: was something else copied with it?",
        )


def _beginning_error(joined: str, prefix: str) -> MalformedError:
    """The error for a text that does not begin with the prefix."""
    wanted = f"{prefix}1"
    if not joined:
        return MalformedError(
            f"there is no {wanted} string: the text is empty",
            hint="was it copied, or written to standard input?",
        )
    at = joined.lower().find(wanted)
    unseen = re.search(_UNSEEN, joined)
    kind = identify(joined)
    hint = f"ask the payer for a string that begins with {wanted}"
    if unseen and re.sub(_UNSEEN, "", joined)[: len(wanted)].lower() == wanted:
        at = unseen.start()
        hint = f"remove {describe(joined[at])} at character {at + 1}"
    elif at > 0:
        hint = f"an {wanted} string begins at character {at + 1}: give it from there on"
    elif kind is not None:
        hint = f"it is {kind.value}; {hint}"
    return MalformedError(f"the string does not begin with {wanted}", hint=hint)


def _stray_error(text: str, joined: str, prefix: str) -> MalformedError:
    """The error for the first character that no BOLT 12 string has."""
    start = len(prefix) + 1
    at = next(at for at in range(start, len(joined)) if joined[at] not in _CHARACTERS)
    stray = joined[at]
    if f"{prefix}1" in joined[start:].lower():
        hint = f"there are several {prefix}1 strings: give one of them"
    elif stray.isascii() and stray.isalnum():
        hint = f"copy the string again: after {prefix}1 it has no 1, b, i or o"
    else:
        hint = "remove it, or copy the string again"
    return MalformedError(
        f"{describe(stray)} at character {_place(text, at)} is not a character of an "
        f"{prefix}1 string",
        hint=hint,
    )


def _case_error(text: str, joined: str, prefix: str) -> MalformedError:
    """The error for a string of both cases, which names the first letter of the rarer one."""
    upper = sum(map(str.isupper, joined))
    is_odd = str.isupper if upper <= sum(map(str.islower, joined)) else str.islower
    at = next(at for at, each in enumerate(joined) if is_odd(each))
    return MalformedError(
        f"the {prefix}1 string mixes upper and lower case: {describe(joined[at])} at "
        f"character {_place(text, at)}",
        hint="write all of it in lower case",
    )


def _place(text: str, index: int) -> int:
    """The place, 1 for the first, of a character of the joined text in the text as it was given."""
    for continuation in re.finditer(_CONTINUATION, text):
        if continuation.start() > index:
            break
        index += continuation.end() - continuation.start()
    return index + 1
