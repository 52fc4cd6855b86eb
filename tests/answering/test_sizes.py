"""How many bytes an invoice takes in an onion message, in the commonest network.

The payer, a node of v26.06 that announces no address, is behind one router, and so are we: its
request names the router, and the invoice and the answer to it go by that. Onions come in two
sizes, with 1,300 bytes of payloads or 32,768.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from sendinvoice_cli.answering import reading
from sendinvoice_cli.answering.drafts import Drafts
from sendinvoice_cli.bolt12 import fields, invoice, invoice_request, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedHop, BlindedPath
from sendinvoice_cli.bolt12.invoice import PaymentPath
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.node.ways import payment_paths
from sendinvoice_cli.node.ways.channels import Channel, Terms
from sendinvoice_cli.node.ways.inbound import Inbound
from sendinvoice_cli.onion import message
from sendinvoice_cli.request import Request
from tests.node.fake_client import node_info
from tests.support.requests_builder import node_id, request_string

_US, _ROUTER, _PAYER = node_id(1), node_id(2), node_id(3)
_INFO = node_info()._replace(id=_US)

#: The payer's own path, as lightningd v26.06 makes it: next_node_id for the router, path_id.
_TO_PAYER = BlindedPath(
    _ROUTER,
    node_id(4),
    (
        BlindedHop(node_id(5), bytes(35 + 16)),
        BlindedHop(node_id(6), bytes(34 + 16)),
    ),
)
#: A request of 50 sat on regtest: 420 bytes; on bitcoin, which needs no invreq_chain, 386.
_INVREQ = invoice_request.decode(
    request_string(
        {
            fields.INVREQ_METADATA: bytes(16),
            fields.OFFER_DESCRIPTION: b"Refund for order 4711",
            fields.INVREQ_CHAIN: bytes(32),
            fields.INVREQ_AMOUNT: tlv.encode_tu(50_000),
            fields.INVREQ_PAYER_ID: _PAYER,
            fields.INVREQ_PATHS: _TO_PAYER.encode(),
        },
        sign=False,
    )
)
_TERMS = Terms(
    fee_base_msat=1,
    fee_proportional_millionths=10,
    cltv_expiry_delta=6,
    htlc_minimum_msat=0,
    htlc_maximum_msat=4_950_000_000,
)
_CHANNEL = Channel("103x1x0", _ROUTER, 3_938_655_000, scid=1, is_public=True, terms=_TERMS)
_BOTH = Inbound(blinded=(_CHANNEL,), public=(_CHANNEL,), has_own_path=True)


def _paths(inbound: Inbound) -> list[PaymentPath]:
    return payment_paths.build(
        _INFO,
        inbound,
        amount_msat=50_000,
        base_secret=bytes(32),
        payment_hash=bytes(32),
        timeout=90,
    )


def _unsigned(inbound: Inbound | None) -> tuple[Record, ...]:
    return invoice.build_unsigned(
        _INVREQ,
        amount_msat=50_000,
        payment_hash=bytes(32),
        node_id=_US,
        created_at=1_800_000_000,
        relative_expiry=90,
        payment_paths=() if inbound is None else _paths(inbound),
    )


def _signed(inbound: Inbound) -> bytes:
    records = (*_unsigned(inbound), Record(fields.SIGNATURE, bytes(64)))
    return tlv.encode_stream(sorted(records))


def _message(inbound: Inbound) -> message.OnionMessage:
    back = message.reply_path([_ROUTER, _US], bytes(32))
    content = [
        Record(message.REPLY_PATH, back.encode()),
        Record(message.INVOICE, _signed(inbound)),
    ]
    return message.outgoing([_US, _ROUTER], content, _TO_PAYER, first_scid=1)


def test_it_fits_into_a_small_onion() -> None:
    found = _BOTH.for_payer_behind([_TO_PAYER])
    assert not found.has_own_path
    # The fields of the request, but for its signature; and our own.
    assert len(tlv.encode_stream(_INVREQ.signed_fields())) == 18 + 23 + 34 + 4 + 35 + 240
    path = 33 + 33 + 1 + 2 * (33 + 2 + 34 + 16)
    own = 6 + 3 + 34 + 4 + 5 + 35 + 66
    assert len(_signed(found)) == 354 + (2 + path) + (2 + 28) + own

    onion = _message(found)
    reply_path = 33 + 33 + 1 + 2 * (33 + 2 + 37 + 16)
    sizes = [
        # encrypted_recipient_data: short_channel_id and next_path_key_override, and the tag.
        2 + 10 + 35 + 16,
        2 + 51,
        (2 + 50) + (2 + reply_path) + (4 + len(_signed(found))),
    ]
    assert [len(hop.payload) for hop in onion.hops] == sizes
    # The length of each payload, and its HMAC. On bitcoin, 34 bytes less.
    assert sum(sizes) + (1 + 1 + 3) + 3 * 32 == 1294
    assert onion.packet_size() == 1300


def test_it_would_not_with_both_paths() -> None:
    """The one that is left out takes 180 bytes, and 2 for longer lengths."""
    assert len(_signed(_BOTH)) - len(_signed(_BOTH._replace(has_own_path=False))) == 152 + 28 + 2
    assert _message(_BOTH).packet_size() == 32768


def test_sizes_that_are_expected() -> None:
    """They are known before the invoice exists."""
    asked = reading.read(Request(request_string(sign=False), "a label", 50_000), _INVREQ)
    lightningd = SimpleNamespace(node=_INFO, clock=lambda: 1_800_000_000)
    for blinded in ((), (_CHANNEL,), (_CHANNEL,) * 5):
        for has_own_path in (True, False):
            found = Inbound(blinded=blinded, has_own_path=has_own_path)
            receiving = SimpleNamespace(inbound=found)
            drafts = Drafts(asked, cast(Any, receiving), cast(Any, lightningd), cast(Any, None))
            if not blinded:
                # lightningd adds this one.
                found = found._replace(has_own_path=True)
            assert drafts.expected_size() == len(_signed(found))
