"""A second implementation of BOLT 12's rules for an invoice_request that is not for an offer.

It shares no code with sendinvoice_cli, so that a bug in one of the two shows. It checks what was
accepted, and is written to be obvious, not fast.
"""

from __future__ import annotations

from coincurve import PublicKey

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
KNOWN = {0, 4, 6, 8, 10, 14, 18, 20, 80, 82, 84, 86, 88, 89, 90, 91, 240}
TEXTS = (6, 10, 18, 89)
INTEGERS = (8, 14, 20, 82, 86)


def broken_rule(text: str) -> str | None:
    """The rule that an accepted request breaks, None when there is none."""
    collapsed = "".join(text.split("+")).lower().replace(" ", "").replace("\n", "").strip()
    collapsed = collapsed.removeprefix("lightning:")
    if not collapsed.startswith("lnr1"):
        return "prefix"
    bits = "".join(f"{ALPHABET.index(character):05b}" for character in collapsed[4:])
    size = len(bits) // 8
    if len(bits) - size * 8 > 4 or "1" in bits[size * 8 :]:
        return "padding"
    fields = _fields(bytes(int(bits[at * 8 : at * 8 + 8], 2) for at in range(size)))
    if isinstance(fields, str):
        return fields
    return _of_fields(fields)


def _fields(data: bytes) -> dict[int, bytes] | str:
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        numbers = []
        for _ in range(2):
            size = {253: 2, 254: 4, 255: 8}.get(data[at], 0) if at < len(data) else 0
            raw = data[at + 1 : at + 1 + size] if size else data[at : at + 1]
            if len(raw) != (size or 1):
                return "truncated bigsize"
            number = int.from_bytes(raw, "big")
            if size and number < {2: 253, 4: 1 << 16, 8: 1 << 32}[size]:
                return "bigsize not minimal"
            numbers.append(number)
            at += 1 + size
        type_, length = numbers
        if fields and type_ <= max(fields):
            return "order of types"
        if at + length > len(data):
            return "truncated field"
        fields[type_] = data[at : at + length]
        at += length
    return fields


def _of_fields(fields: dict[int, bytes]) -> str | None:
    for type_ in fields:
        in_range = type_ <= 159 or 1_000_000_000 <= type_ <= 2_999_999_999
        if not in_range and not 240 <= type_ <= 1000:
            return f"type {type_} out of range"
        if type_ % 2 == 0 and type_ not in KNOWN:
            return f"unknown even type {type_}"
    for required in (0, 88):
        if required not in fields:
            return f"field {required} missing"
    for forbidden in (2, 12, 16, 22):
        if forbidden in fields:
            return f"field {forbidden} forbidden"
    # We accept more than BOLT 12: offer_amount may take the place of invreq_amount.
    if 82 not in fields and 8 not in fields:
        return "no amount"
    return _of_values(fields)


def _of_values(fields: dict[int, bytes]) -> str | None:
    for text in TEXTS:
        try:
            fields.get(text, b"").decode()
        except UnicodeDecodeError:
            return f"field {text} is not UTF-8"
    for integer in INTEGERS:
        value = fields.get(integer, b"")
        if len(value) > 8 or value[:1] == b"\0":
            return f"field {integer} is not a tu64"
    held = {
        "chain": len(fields.get(80, bytes(32))) == 32,
        "payer_id": _is_point(fields[88]),
        "unknown even feature": not any(byte & 0x55 for byte in fields.get(84, b"")),
        "paths": _are_paths(fields.get(90, b"")),
    }
    return next((rule for rule, holds in held.items() if not holds), None)


def _is_point(data: bytes) -> bool:
    if len(data) != 33 or data[0] not in (2, 3):
        return False
    try:
        PublicKey(data)
    except ValueError:
        return False
    return True


def _are_paths(data: bytes) -> bool:
    while data:
        head = 9 if data[0] < 2 else 33
        if head == 33 and not _is_point(data[:33]):
            return False
        data = data[head:]
        if not _is_point(data[:33]) or len(data) < 34 or data[33] == 0:
            return False
        hops, data = data[33], data[34:]
        for _ in range(hops):
            if not _is_point(data[:33]) or len(data) < 35:
                return False
            end = 35 + int.from_bytes(data[33:35], "big")
            if len(data) < end:
                return False
            data = data[end:]
    return True
