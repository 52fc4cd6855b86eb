from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from coincurve import PrivateKey

from sendinvoice_cli.bolt12 import signature, string, tlv
from sendinvoice_cli.bolt12.tlv import Record
from tests import vectors
from tests.requests_builder import OTHER_KEY, PAYER_ID, PAYER_KEY, point, records

_VECTORS = vectors.cases("bolt12/signature-test.json", "comment")


def _records(vector: dict[str, Any]) -> tuple[Record, ...]:
    """A vector's records: its string, or the records that its leaves name."""
    if "bolt12" in vector:
        return tlv.decode_stream(string.decode(vector["bolt12"], "lnr"))
    leaf = "H(`LnLeaf`,"
    encoded = [
        key.removeprefix(leaf).rstrip(")")
        for leaves in vector["leaves"]
        for key in leaves
        if key.startswith(leaf)
    ]
    return tlv.decode_stream(bytes.fromhex("".join(encoded)))


@pytest.mark.parametrize("vector", _VECTORS)
def test_leaves(vector: dict[str, Any]) -> None:
    unsigned = [record for record in _records(vector) if not signature.is_signature(record)]
    assert unsigned[0].encode().hex() == vector["first-tlv"]
    assert len(unsigned) == len(vector["leaves"])
    for record, leaf in zip(unsigned, vector["leaves"], strict=True):
        expected = list(leaf.values())
        assert signature.tagged_hash(b"LnLeaf", record.encode()).hex() == expected[0]
        nonce_tag = b"LnNonce" + unsigned[0].encode()
        nonce = signature.tagged_hash(nonce_tag, tlv.encode_bigsize(record.type))
        assert nonce.hex() == expected[1]


@pytest.mark.parametrize("vector", _VECTORS)
def test_merkle_root(vector: dict[str, Any]) -> None:
    assert signature.merkle_root(_records(vector)).hex() == vector["merkle"]


def test_signature_of_the_request() -> None:
    vector = vectors.load("bolt12/signature-test.json")[3]
    found = _records(vector)
    tag = vector["signature_tag"]
    assert tag == "lightninginvoice_requestsignature"
    root = bytes.fromhex(vector["merkle"])
    digest = signature.signature_hash("invoice_request", "signature", root)
    assert digest.hex() == vector["H(signature_tag,merkle)"]
    fields = dict(found)
    assert fields[240].hex() == vector["signature"]
    assert signature.verify("invoice_request", found, fields[88], fields[240])
    # Bob (0x42...) signed it, by BIP-340 with an auxiliary value of zeros.
    assert signature.verify("invoice_request", found, point(b"\x42" * 32), fields[240])


def test_tagged_hash() -> None:
    tag = sha256(b"tag").digest()
    assert signature.tagged_hash(b"tag", b"message") == sha256(tag + tag + b"message").digest()


def test_signatures_cover_no_signatures() -> None:
    unsigned = records()
    others = [Record(type_, b"x") for type_ in (240, 241, 1000)]
    assert signature.merkle_root([*unsigned, *others]) == signature.merkle_root(unsigned)


@pytest.mark.parametrize("type_", [239, 1001])
def test_neighbours_of_the_signatures_are_covered(type_: int) -> None:
    more = (*records(), Record(type_, b"x"))
    assert signature.merkle_root(more) != signature.merkle_root(records())


@pytest.mark.parametrize("count", range(1, 9))
def test_every_record_counts(count: int) -> None:
    """Whatever the tree's shape, a change in any leaf changes the root."""
    leaves = [Record(type_, bytes([type_])) for type_ in range(count)]
    roots = {signature.merkle_root(leaves)}
    for at in range(count):
        changed = list(leaves)
        changed[at] = Record(at, b"other")
        roots.add(signature.merkle_root(changed))
    assert len(roots) == count + 1


def test_nothing_to_sign() -> None:
    with pytest.raises(ValueError, match="nothing to sign"):
        signature.merkle_root([Record(240, bytes(64))])


def test_sign_and_verify() -> None:
    sig = signature.sign("invoice_request", records(), PAYER_KEY)
    assert signature.verify("invoice_request", records(), PAYER_ID, sig)
    assert not signature.verify("invoice", records(), PAYER_ID, sig)
    assert not signature.verify("invoice_request", records({10: b"other"}), PAYER_ID, sig)
    assert not signature.verify("invoice_request", records(), point(OTHER_KEY), sig)
    assert not signature.verify("invoice_request", records(), PAYER_ID, bytes(64))


def test_keys_with_odd_y_verify() -> None:
    """BIP-340 knows only x, so both of a point's signs stand for the same key."""
    odd = next(
        key
        for key in (bytes([number]) * 32 for number in range(1, 20))
        if PrivateKey(key).public_key.format()[0] == 3
    )
    sig = signature.sign("invoice", records(), odd)
    assert signature.verify("invoice", records(), point(odd), sig)
