"""The fields of BOLT 12 messages: their types, names and decoders.

Source: BOLT 12, "TLV Fields for Offers", "… for `invoice_request`" and "Invoices".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import MalformedError
from .blinded_path import check_point, decode_paths
from .tlv import decode_tu

INVREQ_METADATA = 0
OFFER_CHAINS = 2
OFFER_METADATA = 4
OFFER_CURRENCY = 6
OFFER_AMOUNT = 8
OFFER_DESCRIPTION = 10
OFFER_FEATURES = 12
OFFER_ABSOLUTE_EXPIRY = 14
OFFER_PATHS = 16
OFFER_ISSUER = 18
OFFER_QUANTITY_MAX = 20
OFFER_ISSUER_ID = 22
INVREQ_CHAIN = 80
INVREQ_AMOUNT = 82
INVREQ_FEATURES = 84
INVREQ_QUANTITY = 86
INVREQ_PAYER_ID = 88
INVREQ_PAYER_NOTE = 89
INVREQ_PATHS = 90
INVREQ_BIP_353_NAME = 91
INVOICE_PATHS = 160
INVOICE_BLINDEDPAY = 162
INVOICE_CREATED_AT = 164
INVOICE_RELATIVE_EXPIRY = 166
INVOICE_PAYMENT_HASH = 168
INVOICE_AMOUNT = 170
INVOICE_FALLBACKS = 172
INVOICE_FEATURES = 174
INVOICE_NODE_ID = 176
SIGNATURE = 240

#: Even types of the two drafts for recurring payments. Readers must understand
#: even types, and may ignore odd ones.
RECURRENCE = frozenset((24, 26, 92, 94, 1000000024, 1000000026, 2000000092, 2000000094))

_BIP_353_CHARACTERS = frozenset(
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_."
)


def is_request_field(type_: int) -> bool:
    """Whether a type is in a range that an invoice copies from its invoice_request."""
    return type_ <= 159 or 1_000_000_000 <= type_ <= 2_999_999_999


def _tu64(value: bytes, name: str) -> int:
    return decode_tu(value, 8, name)


def _tu32(value: bytes, name: str) -> int:
    return decode_tu(value, 4, name)


def _utf8(value: bytes, name: str) -> str:
    # BOLT 1, "Fundamental Types": a reader may reject a utf8 field that is not valid UTF-8.
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError(f"{name}: not valid UTF-8") from None


def _anything(value: bytes, _name: str) -> bytes:
    return value


def _exactly(size: int) -> Callable[[bytes, str], bytes]:
    def check(value: bytes, name: str) -> bytes:
        if len(value) != size:
            raise MalformedError(f"{name}: has {len(value)} bytes, must have {size}")
        return value

    return check


def _chains(value: bytes, name: str) -> tuple[bytes, ...]:
    # BOLT 12, "Offers": at least one chain, if the field is there at all.
    if not value or len(value) % 32:
        raise MalformedError(f"{name}: not a list of 32-byte chain hashes")
    return tuple(value[at : at + 32] for at in range(0, len(value), 32))


def _bip_353_name(value: bytes, name: str) -> tuple[str, str]:
    parts: list[bytes] = []
    rest = value
    for _ in range(2):
        if not rest or len(rest) < 1 + rest[0]:
            raise MalformedError(f"{name}: cut short")
        parts.append(rest[1 : 1 + rest[0]])
        rest = rest[1 + rest[0] :]
    if rest:
        raise MalformedError(f"{name}: has bytes after its end")
    # BOLT 12, "Invoice Requests": names have letters, digits, and three other characters.
    if not all(_BIP_353_CHARACTERS.issuperset(part) for part in parts):
        raise MalformedError(f"{name}: has a character that is not allowed in names")
    return parts[0].decode("ascii"), parts[1].decode("ascii")


def _blindedpay(value: bytes, name: str) -> tuple[bytes, ...]:
    """Split into its blinded_payinfos, each of 28 bytes and its features."""
    payinfos = []
    while value:
        size = 28 + int.from_bytes(value[26:28], "big")
        if len(value) < size:
            raise MalformedError(f"{name}: cut short")
        payinfos.append(value[:size])
        value = value[size:]
    return tuple(payinfos)


#: Name and decoder of each known field. A decoder takes the value's bytes and
#: the field's name, and returns the value or raises MalformedError.
FIELDS: Mapping[int, tuple[str, Callable[[bytes, str], Any]]] = {
    INVREQ_METADATA: ("invreq_metadata", _anything),
    OFFER_CHAINS: ("offer_chains", _chains),
    OFFER_METADATA: ("offer_metadata", _anything),
    OFFER_CURRENCY: ("offer_currency", _utf8),
    OFFER_AMOUNT: ("offer_amount", _tu64),
    OFFER_DESCRIPTION: ("offer_description", _utf8),
    OFFER_FEATURES: ("offer_features", _anything),
    OFFER_ABSOLUTE_EXPIRY: ("offer_absolute_expiry", _tu64),
    OFFER_PATHS: ("offer_paths", decode_paths),
    OFFER_ISSUER: ("offer_issuer", _utf8),
    OFFER_QUANTITY_MAX: ("offer_quantity_max", _tu64),
    OFFER_ISSUER_ID: ("offer_issuer_id", check_point),
    INVREQ_CHAIN: ("invreq_chain", _exactly(32)),
    INVREQ_AMOUNT: ("invreq_amount", _tu64),
    INVREQ_FEATURES: ("invreq_features", _anything),
    INVREQ_QUANTITY: ("invreq_quantity", _tu64),
    INVREQ_PAYER_ID: ("invreq_payer_id", check_point),
    INVREQ_PAYER_NOTE: ("invreq_payer_note", _utf8),
    INVREQ_PATHS: ("invreq_paths", decode_paths),
    INVREQ_BIP_353_NAME: ("invreq_bip_353_name", _bip_353_name),
    INVOICE_PATHS: ("invoice_paths", decode_paths),
    INVOICE_BLINDEDPAY: ("invoice_blindedpay", _blindedpay),
    INVOICE_CREATED_AT: ("invoice_created_at", _tu64),
    INVOICE_RELATIVE_EXPIRY: ("invoice_relative_expiry", _tu32),
    INVOICE_PAYMENT_HASH: ("invoice_payment_hash", _exactly(32)),
    INVOICE_AMOUNT: ("invoice_amount", _tu64),
    INVOICE_FALLBACKS: ("invoice_fallbacks", _anything),
    INVOICE_FEATURES: ("invoice_features", _anything),
    INVOICE_NODE_ID: ("invoice_node_id", check_point),
    SIGNATURE: ("signature", _exactly(64)),
}


def field_name(type_: int) -> str:
    """The BOLT 12 name of a type, or ``field N``."""
    return FIELDS[type_][0] if type_ in FIELDS else f"field {type_}"


def decode_field(type_: int, value: bytes) -> Any:
    """Decode the value of a known field.

    :raises MalformedError: the value breaks the rules of its field.
    """
    name, decode = FIELDS[type_]
    return decode(value, name)


def unknown_feature(features: bytes) -> int | None:
    """The lowest even feature bit that is set, None without one.

    BOLT 9: it is OK to be odd; whoever does not know an even bit must not go on.

    A reader must know every even bit, and BOLT 12 defines none so far.

    :param features: big-endian bitmap (BOLT 9).
    """
    required = int.from_bytes(features, "big") & int.from_bytes(b"\x55" * len(features), "big")
    return (required & -required).bit_length() - 1 if required else None
