"""TLV streams and the integers inside them (BOLT 1, "Type-Length-Value Format")."""

from collections.abc import Iterable
from typing import NamedTuple

from ..errors import MalformedError


class Record(NamedTuple):
    """One TLV record: ``type`` 0 … 2^64-1, ``value`` the raw bytes."""

    type: int
    value: bytes

    def encode(self) -> bytes:
        """The record on the wire: bigsize type, bigsize length, value."""
        size = len(self.value)
        if self.type < 0xFD and size < 0xFD:  # nearly always, and twice as fast
            return bytes((self.type, size)) + self.value
        return encode_bigsize(self.type) + encode_bigsize(size) + self.value


def encode_bigsize(value: int) -> bytes:
    """Encode 0 … 2^64-1 as a bigsize of 1, 3, 5 or 9 bytes (BOLT 1, "Appendix A")."""
    if value < 0xFD:
        return value.to_bytes(1, "big")
    if value < 0x1_0000:
        return b"\xfd" + value.to_bytes(2, "big")
    if value < 0x1_0000_0000:
        return b"\xfe" + value.to_bytes(4, "big")
    return b"\xff" + value.to_bytes(8, "big")


def decode_bigsize(data: bytes, offset: int) -> tuple[int, int]:
    """Read the bigsize at ``offset``.

    :returns: the value, and the offset after it.
    :raises MalformedError: it is cut short, or not in its shortest form.
    """
    if offset >= len(data):
        raise MalformedError("TLV stream: ends where a type or length is expected")
    first = data[offset]
    if first < 0xFD:
        return first, offset + 1
    size, minimum = {0xFD: (2, 0xFD), 0xFE: (4, 0x1_0000), 0xFF: (8, 0x1_0000_0000)}[first]
    end = offset + 1 + size
    if end > len(data):
        raise MalformedError("TLV stream: ends inside a type or length")
    value = int.from_bytes(data[offset + 1 : end], "big")
    # BOLT 1, "Appendix A": the shortest form, and no other.
    if value < minimum:
        raise MalformedError("TLV stream: a type or length is not in its shortest form")
    return value, end


def decode_stream(data: bytes) -> tuple[Record, ...]:
    """Split a TLV stream into its records, of known types or not.

    :raises MalformedError: a type or length is not canonical, types do not
        strictly increase, or the last record is cut short.
    """
    records = []
    offset = 0
    previous = -1
    while offset < len(data):
        type_, offset = decode_bigsize(data, offset)
        length, offset = decode_bigsize(data, offset)
        # BOLT 1, "Type-Length-Value Format": types strictly increase.
        if type_ == previous:
            raise MalformedError(f"TLV stream: field {type_} occurs twice")
        if type_ < previous:
            raise MalformedError(f"TLV stream: field {type_} comes after field {previous}")
        end = offset + length
        if end > len(data):
            raise MalformedError(f"TLV stream: field {type_} is cut short")
        records.append(Record(type_, data[offset:end]))
        offset = end
        previous = type_
    return tuple(records)


def encode_stream(records: Iterable[Record]) -> bytes:
    """Join records, which must be in strictly increasing order of type."""
    return b"".join(record.encode() for record in records)


def encode_tu(value: int) -> bytes:
    """Encode a truncated unsigned integer (BOLT 1, ``tu64``): big-endian, no leading zeros."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode_tu(value: bytes, size: int, name: str) -> int:
    """Read a truncated unsigned integer of at most ``size`` bytes.

    :param name: the field's name, for the error.
    :raises MalformedError: too long, or with a leading zero.
    """
    if len(value) > size:
        raise MalformedError(
            f"{name}: an integer of {len(value)} bytes, at most {size} are allowed"
        )
    # BOLT 1, "Fundamental Types": zeros in front are left out.
    if value[:1] == b"\0":
        raise MalformedError(f"{name}: an integer with a leading zero byte")
    return int.from_bytes(value, "big")
