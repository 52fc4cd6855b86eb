"""Writing BOLT 11 invoices, so that a label can belong to one. Nothing here reads or pays them.

Source: BOLT 11.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from coincurve import PrivateKey

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_PREFIX = "lnbcrt"
#: Picobitcoin in a millisatoshi.
_PICO_PER_MSAT = 10
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
#: var_onion_optin and payment_secret, both required: bits 8 and 14.
_FEATURES = (1 << 8 | 1 << 14).to_bytes(2, "big")


def encode(
    private_key: PrivateKey,
    *,
    payment_hash: bytes,
    payment_secret: bytes,
    amount_msat: int,
    description: str,
    created_at: int,
    expiry: int,
) -> str:
    """An ``lnbcrt…`` string, signed.

    :param payment_hash: 32 bytes, as ``payment_secret``.
    :param created_at: UNIX seconds.
    :param expiry: seconds from then.
    """
    prefix = f"{_PREFIX}{amount_msat * _PICO_PER_MSAT}p"
    words = [
        *_number(created_at, 7),
        *_field("s", _words(payment_secret)),
        *_field("p", _words(payment_hash)),
        *_field("d", _words(description.encode())),
        *_field("x", _number(expiry)),
        *_field("9", _words(_FEATURES)),
    ]
    signed = sha256(prefix.encode() + _bytes(words)).digest()
    sig = private_key.sign_recoverable(signed, hasher=None)
    words += _words(sig)
    return f"{prefix}1{''.join(_ALPHABET[word] for word in (*words, *_checksum(prefix, words)))}"


def _field(tag: str, words: list[int]) -> list[int]:
    return [_ALPHABET.index(tag), *_number(len(words), 2), *words]


def _number(value: int, size: int = 0) -> list[int]:
    """A number in words of 5 bits; at least ``size`` of them."""
    words: list[int] = []
    while value or len(words) < size:
        words.insert(0, value & 31)
        value >>= 5
    return words


def _words(data: bytes) -> list[int]:
    """Bytes in words of 5 bits, filled up with zeros behind."""
    count = (len(data) * 8 + 4) // 5
    number = int.from_bytes(data, "big") << (count * 5 - len(data) * 8)
    return _number(number, count)


def _bytes(words: list[int]) -> bytes:
    """Words of 5 bits as bytes, filled up with zeros behind."""
    count = (len(words) * 5 + 7) // 8
    number = 0
    for word in words:
        number = number << 5 | word
    return (number << (count * 8 - len(words) * 5)).to_bytes(count, "big")


def _checksum(prefix: str, words: Iterable[int]) -> list[int]:
    """bech32's checksum (BIP 173)."""
    expanded = [*(ord(each) >> 5 for each in prefix), 0, *(ord(each) & 31 for each in prefix)]
    check = 1
    for value in (*expanded, *words, *bytes(6)):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(_GENERATORS):
            check ^= generator if top >> at & 1 else 0
    return _number(check ^ 1, 6)
