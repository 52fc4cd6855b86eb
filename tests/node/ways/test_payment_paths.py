from __future__ import annotations

from hashlib import sha256

import pytest
from coincurve import PrivateKey, PublicKey
from hypothesis import given
from hypothesis import strategies as st

from sendinvoice_cli.bolt12 import tlv
from sendinvoice_cli.bolt12.blinded_path import parse_scid
from sendinvoice_cli.bolt12.invoice import PaymentPath
from sendinvoice_cli.node.ways import payment_paths
from sendinvoice_cli.node.ways.channels import Channel, Terms
from sendinvoice_cli.node.ways.inbound import Inbound
from sendinvoice_cli.onion import blinding
from tests.node.fake_client import node_info
from tests.support.requests_builder import node_id

_HASH = b"\x77" * 32
_SECRET = b"\x5e" * 32
_TERMS = Terms(
    fee_base_msat=1000,
    fee_proportional_millionths=10,
    cltv_expiry_delta=34,
    htlc_minimum_msat=500,
    htlc_maximum_msat=10**9,
)
_CHANNEL = Channel("100x2x0", node_id(2), 10**8, scid=parse_scid("92x1x1"), terms=_TERMS)


def _build(inbound: Inbound, timeout: int = 90, amount_msat: int = 100_000) -> list[PaymentPath]:
    return payment_paths.build(
        node_info(),
        inbound,
        amount_msat=amount_msat,
        base_secret=_SECRET,
        payment_hash=_HASH,
        timeout=timeout,
    )


def _path(timeout: int = 90) -> PaymentPath:
    (built,) = _build(Inbound(blinded=(_CHANNEL,)), timeout)
    return built


def _read(path: PaymentPath) -> list[dict[int, bytes]]:
    """What the peer and our node decrypt."""
    path_key = path.path.first_path_key
    found = []
    for number, hop in zip((2, 1), path.path.hops, strict=True):
        secret = PrivateKey(number.to_bytes(32, "big")).ecdh(path_key)
        assert hop.blinded_node_id == blinding.blind_node_id(node_id(number), secret)
        found.append(dict(tlv.decode_stream(blinding.decrypt(secret, hop.encrypted_data))))
        factor = blinding.blinding_factor(path_key, secret)
        path_key = _multiplied(path_key, factor)
    return found


def _multiplied(point: bytes, factor: bytes) -> bytes:
    return bytes(PublicKey(point).multiply(factor).format())


def test_a_path() -> None:
    path = _path()
    assert path.path.introduction_node == node_id(2)
    peers, ours = _read(path)
    assert set(peers) - {blinding.PADDING} == {
        blinding.SHORT_CHANNEL_ID,
        blinding.PAYMENT_RELAY,
        blinding.PAYMENT_CONSTRAINTS,
    }
    assert peers[blinding.SHORT_CHANNEL_ID] == parse_scid("92x1x1").to_bytes(8, "big")
    assert peers[blinding.PAYMENT_RELAY].hex() == "00220000000a03e8"
    # lightningd's own way to tell which invoice is being paid.
    assert ours == {blinding.PATH_ID: sha256(_SECRET + _HASH).digest()}


@given(
    fee_base_msat=st.integers(0, 2**32 - 1),
    htlc_minimum_msat=st.integers(0, 2**64 - 1),
)
def test_hops_are_equally_long(fee_base_msat: int, htlc_minimum_msat: int) -> None:
    """BOLT 4: the creator SHOULD add padding; the payer sees their lengths."""
    terms = _TERMS._replace(fee_base_msat=fee_base_msat, htlc_minimum_msat=htlc_minimum_msat)
    (path,) = _build(Inbound(blinded=(_CHANNEL._replace(terms=terms),)))
    assert len({len(hop.encrypted_data) for hop in path.path.hops}) == 1


@pytest.mark.parametrize("timeout", [1, 90, 86_400, 2**32 - 1])
def test_cltv(timeout: int) -> None:
    """Room for payers that pad it, and for the blocks that come while it waits."""
    path = _path(timeout)
    peers, _ = _read(path)
    constraints = peers[blinding.PAYMENT_CONSTRAINTS]
    max_cltv_expiry = int.from_bytes(constraints[:4], "big")
    assert path.payinfo.cltv_expiry_delta == 34 + 18
    assert max_cltv_expiry >= 100 + 34 + 18 + 1008 + timeout // 600
    assert tlv.decode_tu(constraints[4:], 8, "htlc_minimum_msat") == 500


def test_payinfo() -> None:
    payinfo = _path().payinfo
    assert (payinfo.fee_base_msat, payinfo.fee_proportional_millionths) == (1000, 10)
    assert (payinfo.htlc_minimum_msat, payinfo.htlc_maximum_msat) == (500, 10**9)
    # BOLT 12: as the paths' allowed_features, and those are empty.
    assert payinfo.features == b""


@pytest.mark.parametrize(
    ("amount_msat", "fee_msat"), [(0, 1000), (99_999, 1000), (100_000, 1001), (10**9, 11_000)]
)
def test_fees(amount_msat: int, fee_msat: int) -> None:
    assert _TERMS.fee_msat(amount_msat) == fee_msat


def test_beside_public_channels_the_path_of_our_node_goes_first() -> None:
    """As lightningd makes it when an invoice has none; some payers use only the first."""
    public = Channel("95x2x0", node_id(2), 10**8, scid=parse_scid("95x2x0"), is_public=True)
    own, spare = _build(Inbound(blinded=(_CHANNEL,), public=(public,), has_own_path=True))
    assert own.path.introduction_node == node_id(1)
    (hop,) = own.path.hops
    secret = PrivateKey((1).to_bytes(32, "big")).ecdh(own.path.first_path_key)
    assert hop.blinded_node_id == blinding.blind_node_id(node_id(1), secret)
    data = dict(tlv.decode_stream(blinding.decrypt(secret, hop.encrypted_data)))
    assert data == {blinding.PATH_ID: sha256(_SECRET + _HASH).digest()}
    assert (own.payinfo.fee_base_msat, own.payinfo.fee_proportional_millionths) == (0, 0)
    assert (own.payinfo.cltv_expiry_delta, own.payinfo.htlc_minimum_msat) == (18, 0)
    assert own.payinfo.htlc_maximum_msat == 21 * 10**17
    assert spare.path.introduction_node == node_id(2)


def _maxima(receivable_msat: list[int], amount_msat: int, terms: Terms = _TERMS) -> list[int]:
    """The htlc_maximum_msat that an invoice tells of channels with these balances."""
    channels = [_CHANNEL._replace(receivable_msat=each, terms=terms) for each in receivable_msat]
    paths = _build(Inbound(blinded=tuple(channels)), amount_msat=amount_msat)
    return [path.payinfo.htlc_maximum_msat for path in paths]


@given(
    balances=st.lists(st.integers(100_000, 10**9), min_size=2, max_size=2),
    others=st.lists(st.integers(1, 99_999), max_size=4),
)
def test_an_invoice_does_not_tell_what_a_channel_can_receive(
    balances: list[int], others: list[int]
) -> None:
    """Where it is enough, the same for any balance; else its magnitude."""
    one, other = (_maxima([balance, *others], 100_000) for balance in balances)
    assert one == other
    assert one[0] == 10**9
    for told, receivable_msat in zip(one[1:], others, strict=True):
        assert told in (500, 1 << receivable_msat.bit_length() - 1)
        assert told <= max(receivable_msat, 500)


def test_a_balance_is_not_told_where_the_maximum_of_the_peer_is_unknown() -> None:
    """listincoming mixes the two. It tells the magnitude, and that it is enough."""
    unknown = _TERMS._replace(htlc_maximum_msat=None)
    assert _maxima([1_234_567], 100_000, unknown) == [1 << 20]
    assert _maxima([1_234_567], 1_200_000, unknown) == [1_200_000]


@given(
    receivable_msat=st.lists(st.integers(1, 99_999), min_size=2, max_size=5),
    share=st.floats(0.01, 1),
)
def test_parts_still_reach_the_amount(receivable_msat: list[int], share: float) -> None:
    """No more digits are told than it takes, and none when it cannot be reached."""
    amount_msat = max(int(sum(receivable_msat) * share), 1)
    terms = _TERMS._replace(htlc_minimum_msat=0)
    told = _maxima(receivable_msat, amount_msat, terms)
    assert sum(told) >= amount_msat
    too_much = sum(receivable_msat) + 1
    assert _maxima(receivable_msat, too_much, terms) == [
        1 << each.bit_length() - 1 for each in receivable_msat
    ]


@pytest.mark.parametrize(
    ("amount_msat", "told"),
    [
        (0b10000, [0b1000, 0b1000]),
        (0b10001, [0b1100, 0b1000]),
        (0b10101, [0b1110, 0b1010]),
        (0b11001, [0b1111, 0b1011]),
        (0b11010, [0b1111, 0b1011]),
        (0b11011, [0b1000, 0b1000]),
    ],
)
def test_digits_that_are_told(amount_msat: int, told: list[int]) -> None:
    terms = _TERMS._replace(htlc_minimum_msat=0)
    assert _maxima([0b1111, 0b1011], amount_msat, terms) == told


def test_a_channel_that_payers_refuse_does_not_make_the_others_coarse() -> None:
    """It could take the amount; but payers must reach it with parts over the others."""
    terms = _TERMS._replace(htlc_minimum_msat=0)
    one, other = (
        _CHANNEL._replace(receivable_msat=each, terms=terms, name=f"{each}x1x1")
        for each in (0b1111, 0b1011)
    )
    dear = _CHANNEL._replace(terms=terms)
    paths = _build(Inbound(blinded=(one, other, dear), refused=(dear,)), amount_msat=0b11001)
    assert [path.payinfo.htlc_maximum_msat for path in paths] == [0b1111, 0b1011, 10**9]
