"""The BOLTs' vectors for offers, as far as they test what requests share with offers.

Strings, TLV streams and single fields are the same. Rules about the offer as a
whole are not: the vectors that break only those must be well-formed.
"""

from __future__ import annotations

from typing import Any

import pytest

from sendinvoice_cli.bolt12 import fields, string, tlv
from sendinvoice_cli.errors import MalformedError
from tests.support import vectors


def _decode(text: str) -> list[tuple[int, bytes]]:
    records = tlv.decode_stream(string.decode(text, "lno"))
    for record in records:
        if record.type in fields.FIELDS:
            fields.decode_field(record.type, record.value)
    return [(record.type, record.value) for record in records]


@pytest.mark.parametrize("vector", vectors.cases("offers", "accepted"))
def test_accepted(vector: dict[str, Any]) -> None:
    expected = [(type_, bytes.fromhex(value)) for type_, value in vector["fields"]]
    found = _decode(vector["text"])
    assert found == expected
    assert fields.unknown_feature(dict(found).get(fields.OFFER_FEATURES, b"")) is None


@pytest.mark.parametrize("vector", vectors.cases("offers", "breaks_a_rule_of_offers"))
def test_well_formed(vector: dict[str, Any]) -> None:
    assert _decode(vector["text"])


# Vectors with types above 1000000000 are among these: they write the type in
# five bytes behind an 0xfd, so they hold another type and are cut short.
@pytest.mark.parametrize("vector", vectors.cases("offers", "malformed"))
def test_malformed(vector: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        _decode(vector["text"])


def test_the_unknown_feature_is_seen() -> None:
    (vector,) = (
        each
        for each in vectors.load("offers")["breaks_a_rule_of_offers"]
        if each["name"] == "unknown feature 122"
    )
    found = dict(_decode(vector["text"]))
    assert fields.unknown_feature(found[fields.OFFER_FEATURES]) == 122
