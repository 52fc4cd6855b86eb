"""invoice_requests on regtest that no node would make."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from sendinvoice_cli.bolt12 import fields, tlv
from sendinvoice_cli.node.info import CHAIN_HASHES

from .requests_builder import Changes, request_string

#: Odd, so that a reader keeps them, and in the ranges that requests and invoices share.
UNKNOWN_FIELDS: Mapping[int, bytes] = {
    79: b"",
    159: b"\x01",
    1_000_000_001: b"an experiment of the offer",
    2_000_000_001: bytes(300),
}


def craft_request(
    payer_id: str, amount_msat: int, changes: Changes | None = None, *, sign: bool = False
) -> str:
    """An ``lnr1…`` string, different each time.

    :param payer_id: 33 bytes in hex.
    :param changes: fields to add, to change or, with None, to leave out.
    :param sign: with the key of PAYER_ID, which has to be ``payer_id`` then.
    """
    all_changes: dict[int, bytes | None] = {
        fields.INVREQ_METADATA: secrets.token_bytes(16),
        fields.INVREQ_CHAIN: bytes.fromhex(CHAIN_HASHES["regtest"]),
        fields.INVREQ_AMOUNT: tlv.encode_tu(amount_msat),
        fields.INVREQ_PAYER_ID: bytes.fromhex(payer_id),
        **(changes or {}),
    }
    return request_string(all_changes, sign=sign)
