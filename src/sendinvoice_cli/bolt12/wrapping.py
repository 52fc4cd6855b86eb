"""What people bring a BOLT 12 string in: white space, quotes, folded lines, a URI, JSON.

None of it is part of BOLT 12. It is taken off where that leaves no doubt about the string.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..errors import MalformedError
from . import string

#: White space and byte order marks, of which neither end of a string has any need.
_AROUND = (
    "\ufeff\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_QUOTES = "\"'`"
_LINE_END = re.compile(r"[ \t]*(?:\r\n|\r|\n)[ \t]*")

_LIGHTNING_URI = re.compile("lightning:(?://)?", re.IGNORECASE)
_BITCOIN_URI = "bitcoin:"
_PERCENT = "(?:%[0-9A-Fa-f]{2})+"
#: Readers must understand a key with this prefix (BIP 321, "Forward compatibility").
_REQUIRED = "req-"
#: The key of BIP 321 for BOLT 11 invoices, in which wallets put other strings too.
_LIGHTNING_KEY = "lightning"
#: The key under which ``lightning-cli invoicerequest`` prints the string.
_JSON_KEY = "bolt12"


def unwrap(text: str, prefix: str) -> str:
    """Take off what is around a BOLT 12 string.

    White space and byte order marks around it, a pair of quotes, ``lightning:`` and
    ``lightning://`` go, and lines of equal length are joined. Of a ``bitcoin:`` URI (BIP 321), the
    prefix is the key, such as ``bitcoin:?lnr=lnr1...``; of a JSON object, ``bolt12`` is.

    :param text: any text; more than ``string.MAX_LENGTH`` characters are refused.
    :param prefix: the human-readable part wanted, such as ``lnr``.
    :returns: the string, which ``string.decode`` may still refuse.
    :raises MalformedError: a URI or JSON without such a string, or with several.
    """
    string.check_length(text, prefix)
    text = text.strip(_AROUND)
    if text.startswith("{"):
        text = _value_of_json(text, prefix)
    text = _unfold(text)
    if len(text) > 1 and text[0] in _QUOTES and text[0] == text[-1]:
        text = text[1:-1].strip(_AROUND)
    if text[: len(_BITCOIN_URI)].lower() == _BITCOIN_URI:
        return _value_of_uri(text, prefix)
    return _LIGHTNING_URI.sub("", text, count=1) if _LIGHTNING_URI.match(text) else text


def _unfold(text: str) -> str:
    """Join the lines of a string that was folded at one width, as mail and terminals do."""
    lines = _LINE_END.split(text)
    width = len(lines[0])
    is_folded = all(len(line) == width for line in lines[:-1]) and 0 < len(lines[-1]) <= width
    # The lines of BOLT 12 itself end in +, and may have any length.
    return "".join(lines) if is_folded and "+" not in text else text


def _value_of_json(text: str, prefix: str) -> str:
    """The string in a JSON object such as ``lightning-cli invoicerequest`` prints."""
    hint = f"give the {prefix}1 string by itself"
    try:
        # Pairs, since a repeated key would hide the value before it.
        pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise MalformedError("the text begins like JSON, and is none", hint=hint) from None
    values = {value for key, value in pairs if key == _JSON_KEY and isinstance(value, str)}
    if len(values) != 1:
        number = "several different" if values else "no"
        raise MalformedError(f"the JSON object has {number} {_JSON_KEY}", hint=hint)
    return values.pop().strip(_AROUND)


def _value_of_uri(uri: str, prefix: str) -> str:
    """The string in a ``bitcoin:`` URI (BIP 321)."""
    query = uri.partition("#")[0].partition("?")[2]
    values = []
    others = {}
    for parameter in query.split("&"):
        key, _, value = parameter.partition("=")
        key, value = _unquote(key).lower(), _unquote(value)
        name = key.removeprefix(_REQUIRED)
        is_in_lightning = name == _LIGHTNING_KEY and value.lower().startswith(f"{prefix}1")
        if name == prefix or is_in_lightning:
            values.append(value)
        elif key.startswith(_REQUIRED):
            raise MalformedError(
                f"the bitcoin: URI has the key {_shorten(key)}, which this version does not know, "
                "and may not ignore",
                hint=f"ask the payer for the {prefix}1 string by itself",
            )
        else:
            others[key] = value
    if not values:
        raise MalformedError(
            f"the bitcoin: URI has no {prefix}", hint=_hint_at_uri(uri, others, prefix)
        )
    decoded = {string.decode(value, prefix): value for value in values}
    if len(decoded) > 1:
        # We do not guess which of them to answer: it is about money.
        raise MalformedError(
            f"the bitcoin: URI has several different {prefix} keys",
            hint=f"give the {prefix}1 string of one of them",
        )
    return values[0]


def _hint_at_uri(uri: str, values: dict[str, str], prefix: str) -> str:
    """What a URI without the string is instead, and the next step."""
    ask = f"ask the payer for an invoice_request, which begins with {prefix}1"
    if "lno" in values:
        return f"it holds an offer, which asks to be paid; {ask}"
    kind = string.identify(values.get(_LIGHTNING_KEY, ""))
    if kind is not None:
        return f"it holds {kind.value}; {ask}"
    has_address = uri[len(_BITCOIN_URI) :].partition("?")[0]
    return f"it asks to be paid; {ask}" if has_address else ask


def _unquote(text: str) -> str:
    """Undo percent-encoding, once. Anything else stays as it is."""

    def decode(codes: re.Match[str]) -> str:
        return bytes.fromhex(codes[0].replace("%", "")).decode("utf-8", "replace")

    return re.sub(_PERCENT, decode, text)


def _shorten(key: str) -> str:
    """A stranger's words for a message: printable ASCII, 40 characters at most."""
    return ascii(key if len(key) <= 40 else f"{key[:40]}...")
