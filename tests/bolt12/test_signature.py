from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from coincurve import PrivateKey

from sendinvoice_cli.bolt12 import signature, string, tlv
from sendinvoice_cli.bolt12.tlv import Record
from tests.support import vectors
from tests.support.requests_builder import OTHER_KEY, PAYER_ID, PAYER_KEY, point, records

_TREES = vectors.cases("signatures", "trees")


def _records(vector: dict[str, Any]) -> tuple[Record, ...]:
    """The records under a tree of the vectors."""
    return tlv.decode_stream(bytes.fromhex("".join(leaf["record"] for leaf in vector["leaves"])))


@pytest.mark.parametrize("vector", _TREES)
def test_leaves(vector: dict[str, Any]) -> None:
    found = _records(vector)
    for record, expected in zip(found, vector["leaves"], strict=True):
        leaf = signature.tagged_hash(b"LnLeaf", record.encode())
        assert leaf.hex() == expected["leaf"]
        nonce = signature.tagged_hash(
            b"LnNonce" + found[0].encode(), tlv.encode_bigsize(record.type)
        )
        assert nonce.hex() == expected["nonce"]
        both = signature.tagged_hash(b"LnBranch", b"".join(sorted((leaf, nonce))))
        assert both.hex() == expected["leaf_and_nonce"]


@pytest.mark.parametrize("vector", _TREES)
def test_merkle_root(vector: dict[str, Any]) -> None:
    assert signature.merkle_root(_records(vector)).hex() == vector["root"]


def test_signature_of_the_request() -> None:
    vector = vectors.load("signatures")["signed_request"]
    found = tlv.decode_stream(string.decode(vector["text"], "lnr"))
    assert vector["tag"] == "lightninginvoice_requestsignature"
    root = signature.merkle_root(found)
    assert root.hex() == vector["root"]
    digest = signature.signature_hash("invoice_request", "signature", root)
    assert digest.hex() == vector["digest"]
    fields = dict(found)
    assert fields[240].hex() == vector["signature"]
    assert signature.verify("invoice_request", found, fields[88], fields[240])
    signer = point(bytes.fromhex(vector["secret_key"]))
    assert signature.verify("invoice_request", found, signer, fields[240])


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
