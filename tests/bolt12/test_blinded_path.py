from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import blinded_path
from sendinvoice_cli.bolt12.blinded_path import ShortChannelIdDirection
from sendinvoice_cli.errors import MalformedError
from tests.support.requests_builder import NODE_ID, node_id, path

_SCIDDIR = ShortChannelIdDirection(1 << 40 | 2 << 16 | 3, 1)

#: 33 bytes that are no point, each for another reason.
NOT_POINTS = {
    "empty": b"",
    "32 bytes": NODE_ID[:-1],
    "34 bytes": NODE_ID + b"\0",
    "prefix 4": b"\x04" + NODE_ID[1:],
    "prefix 0": b"\x00" + NODE_ID[1:],
    "hybrid": b"\x06" + NODE_ID[1:] + NODE_ID[1:],
    "x beyond the field": b"\x02" + b"\xff" * 32,
    "x not on the curve": b"\x02" + bytes(32),
}


@pytest.mark.parametrize("point", NOT_POINTS.values(), ids=list(NOT_POINTS))
def test_not_points(point: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^some_field: not a valid public key"):
        blinded_path.check_point(point, "some_field")


def test_point() -> None:
    assert blinded_path.check_point(NODE_ID, "some_field") == NODE_ID


@pytest.mark.parametrize("introduction_node", [NODE_ID, _SCIDDIR], ids=["node id", "sciddir"])
@pytest.mark.parametrize("hops", [1, 3, 255])
def test_round_trip(introduction_node: bytes | ShortChannelIdDirection, hops: int) -> None:
    paths = (path(introduction_node, hops), path(node_id(7), data=b""))
    encoded = b"".join(each.encode() for each in paths)
    assert blinded_path.decode_paths(encoded, "some_field") == paths


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 1),
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
)
def test_sciddir_round_trip(scid: int, direction: int, data: list[bytes]) -> None:
    paths = tuple(path(ShortChannelIdDirection(scid, direction), data=each) for each in data)
    encoded = b"".join(each.encode() for each in paths)
    assert blinded_path.decode_paths(encoded, "some_field") == paths


@given(st.binary(max_size=250))
def test_any_bytes_are_a_path_or_refused(data: bytes) -> None:
    for candidate in (data, path().encode() + data, path().encode()[:-1] + data):
        try:
            paths = blinded_path.decode_paths(candidate, "some_field")
        except MalformedError as refusal:
            message = refusal.message
        else:
            assert b"".join(each.encode() for each in paths) == candidate
            continue
        assert message.startswith("some_field: ")


@pytest.mark.parametrize("introduction_node", [NODE_ID, _SCIDDIR], ids=["node id", "sciddir"])
def test_cut_short_anywhere(introduction_node: bytes | ShortChannelIdDirection) -> None:
    encoded = path(introduction_node, hops=2).encode()
    for end in range(1, len(encoded)):
        with pytest.raises(MalformedError, match=r"^some_field: "):
            blinded_path.decode_paths(encoded[:end], "some_field")


def test_second_path_cut_short() -> None:
    with pytest.raises(MalformedError, match=r"^some_field: a path is cut short"):
        blinded_path.decode_paths(path().encode() + path().encode()[:-1], "some_field")


def test_no_path() -> None:
    with pytest.raises(MalformedError, match=r"^some_field: has no path"):
        blinded_path.decode_paths(b"", "some_field")


def test_no_hops() -> None:
    with pytest.raises(MalformedError, match=r"^some_field: a path has no hops"):
        blinded_path.decode_paths(path(hops=0).encode(), "some_field")


@pytest.mark.parametrize("at", [0, 33, 67], ids=["introduction", "path key", "hop"])
def test_every_point_is_checked(at: int) -> None:
    encoded = path().encode()
    bad = encoded[:at] + b"\x02" + b"\xff" * 32 + encoded[at + 33 :]
    with pytest.raises(MalformedError, match=r"^some_field: not a valid public key"):
        blinded_path.decode_paths(bad, "some_field")


@pytest.mark.parametrize("first", [4, 255])
def test_introduction_node_of_no_known_kind(first: int) -> None:
    with pytest.raises(MalformedError, match=r"^some_field: not a valid public key"):
        blinded_path.decode_paths(bytes([first]) + path().encode()[1:], "some_field")


def test_scids_are_written_as_lightningd_does() -> None:
    assert str(_SCIDDIR) == "1x2x3/1"
    assert blinded_path.format_scid(2**64 - 1) == "16777215x16777215x65535"


@given(st.integers(0, 2**64 - 1))
def test_short_channel_ids_are_read_as_they_are_written(scid: int) -> None:
    assert blinded_path.parse_scid(blinded_path.format_scid(scid)) == scid


@pytest.mark.parametrize(
    "text",
    ["", "1x2", "1x2x3x4", "1x2x-3", "01x2x3", " 1x2x3", "1x2x65536", "16777216x0x0", "axbxc"],
)
def test_not_short_channel_ids(text: str) -> None:
    with pytest.raises(ValueError, match=r"short_channel_id|to unpack|invalid literal"):
        blinded_path.parse_scid(text)
