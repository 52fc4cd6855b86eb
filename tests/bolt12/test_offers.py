"""The BOLTs' vectors for offers, as far as they test what requests share with offers.

Strings, TLV streams and single fields are the same; what an offer as a whole
must have is not: those vectors are named here, and must be well-formed.
"""

from __future__ import annotations

from typing import Any

import pytest

from sendinvoice_cli.bolt12 import fields, string, tlv
from sendinvoice_cli.errors import MalformedError
from tests import vectors

#: Refused for what an offer is, not for how it is written. (The vectors with
#: types above 1000000000 are not among them: they write those in five bytes
#: behind an 0xfd, so what they hold is another type, and is cut short.)
_RULES_OF_OFFERS = {
    "Malformed: unknown even TLV type 78",
    "Contains type >= 80",
    "Contains unknown feature 122",
    "Missing offer_description, but has offer_amount",
    "Missing offer_amount with offer_currency",
    "Invalid: zero offer_amount",
    "Invalid: zero offer_amount with currency",
    "Missing offer_issuer_id and no offer_path",
}

_VECTORS = vectors.cases("bolt12/offers-test.json", "description")


def _decode(text: str) -> list[tuple[int, bytes]]:
    records = tlv.decode_stream(string.decode(text, "lno"))
    for record in records:
        if record.type in fields.FIELDS:
            fields.decode_field(record.type, record.value)
    return [(record.type, record.value) for record in records]


@pytest.mark.parametrize("vector", _VECTORS)
def test_offers(vector: dict[str, Any]) -> None:
    if vector["valid"]:
        expected = [(field["type"], bytes.fromhex(field["hex"])) for field in vector["fields"]]
        assert _decode(vector["bolt12"]) == expected
    elif vector["description"] in _RULES_OF_OFFERS:
        assert _decode(vector["bolt12"])
    else:
        with pytest.raises(MalformedError):
            _decode(vector["bolt12"])


def test_no_rule_of_offers_is_gone() -> None:
    known = {vector["description"] for vector in vectors.load("bolt12/offers-test.json")}
    assert known >= _RULES_OF_OFFERS


def test_the_unknown_feature_is_seen() -> None:
    for vector in vectors.load("bolt12/offers-test.json"):
        found = dict(_decode(vector["bolt12"])) if vector["valid"] else {}
        assert fields.unknown_feature(found.get(fields.OFFER_FEATURES, b"")) is None
        if vector["description"] == "Contains unknown feature 122":
            found = dict(_decode(vector["bolt12"]))
            assert fields.unknown_feature(found[fields.OFFER_FEATURES]) == 122
