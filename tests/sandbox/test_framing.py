from __future__ import annotations

import pytest

from sendinvoice_cli.sandbox.rpc.framing import FramingError, ObjectReader, encode


@pytest.mark.parametrize(
    "stream",
    [
        b'{"a":1}{"b":[{"c":"}"}]}',
        b' \n{"a":1}\n\n {"b":[{"c":"}"}]}\n',
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_objects_are_found_however_they_arrive(stream: bytes, piece: int) -> None:
    reader = ObjectReader()
    found = []
    for at in range(0, len(stream), piece):
        found += reader.feed(stream[at : at + piece])
    assert found == [{"a": 1}, {"b": [{"c": "}"}]}]


def test_braces_and_quotes_in_strings_do_not_count() -> None:
    assert ObjectReader().feed(rb'{"a":"\"}{\\"}{"b":2}') == [{"a": '"}{\\'}, {"b": 2}]


def test_an_object_is_given_once_it_is_complete() -> None:
    reader = ObjectReader()
    assert reader.feed(b'{"a":{"b":1}') == []
    assert reader.feed(b"}") == [{"a": {"b": 1}}]


@pytest.mark.parametrize("data", [b"xyz", b"[]", b'{"a":1}]', b'{"a":}', b'{"a":"\xff"}'])
def test_anything_but_an_object_is_an_error(data: bytes) -> None:
    with pytest.raises(FramingError):
        ObjectReader().feed(data)


def test_an_answer_is_compact_utf8_with_two_newlines() -> None:
    assert encode({"a": ["ü", None]}) == '{"a":["ü",null]}\n\n'.encode()
