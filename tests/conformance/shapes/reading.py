"""Reading what the command has made: invoices, and the payment paths in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coincurve import PrivateKey

from sendinvoice_cli.bolt12 import fields, string, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedPath, decode_paths
from sendinvoice_cli.bolt12.invoice import BlindedPayinfo, decode_payinfos
from sendinvoice_cli.onion import blinding
from sendinvoice_cli.sandbox.model.onion_layers import open_hop

Fields = dict[int, bytes]


def read_fields(text: str, prefix: str = "lni") -> Fields:
    """The fields of a BOLT 12 string, by type."""
    return dict(tlv.decode_stream(string.decode(text, prefix)))


def payment_paths(bolt12: str) -> list[tuple[BlindedPath, BlindedPayinfo]]:
    """The paths of an invoice, each with what it costs."""
    invoice = read_fields(bolt12)
    paths = decode_paths(invoice[fields.INVOICE_PATHS], "invoice_paths")
    payinfos = decode_payinfos(invoice[fields.INVOICE_BLINDEDPAY])
    assert len(paths) == len(payinfos)
    return list(zip(paths, payinfos, strict=True))


def unblind(path: BlindedPath, private_keys: Sequence[bytes]) -> list[Fields]:
    """What a blinded path tells its nodes.

    :param private_keys: 32 bytes each, of its nodes in order.
    """
    assert len(path.hops) == len(private_keys)
    path_key = path.first_path_key
    found = []
    for key, hop in zip(private_keys, path.hops, strict=True):
        private_key = PrivateKey(key)
        node_id = private_key.public_key.format()
        secret = private_key.ecdh(path_key)
        assert hop.blinded_node_id == blinding.blind_node_id(node_id, secret)
        data = open_hop(private_key, path_key, hop.encrypted_data)
        found.append(data.values)
        path_key = data.next_path_key
    return found


@dataclass(frozen=True)
class Relay:
    """What a node of a payment path is told: payment_relay and payment_constraints."""

    cltv_expiry_delta: int
    fee_proportional_millionths: int
    fee_base_msat: int
    max_cltv_expiry: int
    htlc_minimum_msat: int


def read_relay(values: Mapping[int, bytes]) -> Relay:
    """Read them from encrypted_data_tlv."""
    relay = values[blinding.PAYMENT_RELAY]
    constraints = values[blinding.PAYMENT_CONSTRAINTS]
    return Relay(
        cltv_expiry_delta=int.from_bytes(relay[:2], "big"),
        fee_proportional_millionths=int.from_bytes(relay[2:6], "big"),
        fee_base_msat=tlv.decode_tu(relay[6:], 4, "fee_base_msat"),
        max_cltv_expiry=int.from_bytes(constraints[:4], "big"),
        htlc_minimum_msat=tlv.decode_tu(constraints[4:], 8, "htlc_minimum_msat"),
    )
