from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import tlv
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import MalformedError

_U64 = st.integers(0, 2**64 - 1)

# BOLT 1, "Appendix A: BigSize Test Vectors"
_BIGSIZES = [
    (0, "00"),
    (252, "fc"),
    (253, "fd00fd"),
    (65535, "fdffff"),
    (65536, "fe00010000"),
    (4294967295, "feffffffff"),
    (4294967296, "ff0000000100000000"),
    (18446744073709551615, "ffffffffffffffffff"),
]


@pytest.mark.parametrize(("value", "encoded"), _BIGSIZES)
def test_bigsize_vectors(value: int, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert tlv.encode_bigsize(value) == data
    assert tlv.decode_bigsize(data, 0) == (value, len(data))


@pytest.mark.parametrize("encoded", ["fd00fc", "fe0000ffff", "ff00000000ffffffff"])
def test_bigsize_that_could_be_shorter_is_refused(encoded: str) -> None:
    with pytest.raises(MalformedError, match="shortest form"):
        tlv.decode_bigsize(bytes.fromhex(encoded), 0)


@pytest.mark.parametrize("encoded", ["fd00", "feffff", "ffffffffff", "", "fd", "fe", "ff"])
def test_bigsize_cut_short_is_refused(encoded: str) -> None:
    with pytest.raises(MalformedError, match="ends"):
        tlv.decode_bigsize(bytes.fromhex(encoded), 0)


@given(_U64, st.binary(max_size=9), st.binary(max_size=9))
def test_bigsize_round_trip(value: int, before: bytes, behind: bytes) -> None:
    encoded = tlv.encode_bigsize(value)
    assert tlv.decode_bigsize(before + encoded + behind, len(before)) == (
        value,
        len(before) + len(encoded),
    )


@given(st.dictionaries(_U64, st.binary(max_size=300), max_size=8))
def test_stream_round_trip(content: dict[int, bytes]) -> None:
    records = tuple(Record(*item) for item in sorted(content.items()))
    assert tlv.decode_stream(tlv.encode_stream(records)) == records


@given(st.binary(max_size=64))
def test_a_stream_has_one_encoding(data: bytes) -> None:
    try:
        records = tlv.decode_stream(data)
    except MalformedError:
        return
    assert tlv.encode_stream(records) == data


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("0101aa0101aa", "field 1 occurs twice"),
        ("02000100", "field 1 comes after field 2"),
        ("010200", "field 1 is cut short"),
        ("01", "ends where"),
        ("01fd00fc", "shortest form"),
        ("fd000100", "shortest form"),
        # A length of 2^64-1 must not be believed.
        ("01ffffffffffffffffff00", "field 1 is cut short"),
    ],
)
def test_malformed_streams(encoded: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        tlv.decode_stream(bytes.fromhex(encoded))


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, ""), (1, "01"), (256, "0100"), (2**64 - 1, "ff" * 8)]
)
def test_truncated_integers(value: int, encoded: str) -> None:
    assert tlv.encode_tu(value).hex() == encoded
    assert tlv.decode_tu(bytes.fromhex(encoded), 8, "name") == value


@pytest.mark.parametrize(
    ("encoded", "size", "reason"),
    [
        ("00", 8, "leading zero"),
        ("0001", 8, "leading zero"),
        ("01" * 9, 8, "an integer of 9 bytes, at most 8 are allowed"),
        ("01" * 5, 4, "an integer of 5 bytes, at most 4 are allowed"),
    ],
)
def test_malformed_truncated_integers(encoded: str, size: int, reason: str) -> None:
    with pytest.raises(MalformedError, match=f"^some_field: .*{reason}"):
        tlv.decode_tu(bytes.fromhex(encoded), size, "some_field")
