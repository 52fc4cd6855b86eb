"""The versions of lightningd that the sandbox can act as, and what sets them apart."""

from __future__ import annotations

from enum import Enum

from . import limits


class Family(Enum):
    """A family of versions, named after one of them."""

    #: v23.08 to v24.05: ``sendonionmessage``, and replies only along direct peers.
    V24_02 = "v24.02"
    #: v24.08: ``injectonionmessage`` takes hops.
    V24_08 = "v24.08"
    #: v24.11 and later: ``injectonionmessage`` takes an onion.
    V26_06 = "v26.06"

    def __init__(self, version: str) -> None:
        is_old, is_new = version == "v24.02", version == "v26.06"
        #: The version in ``getinfo``.
        self.version = f"{version}.6" if is_new else f"{version}.2"
        #: The onion messages that it takes from each peer; None for any number.
        self.message_limit = None if is_old else limits.LIGHTNINGD
        #: Whether it forwards an onion message that names the next node by a channel.
        self.forwards_by_scid = not is_old
        #: Whether a payer finds a route to a reply path that does not begin at a peer.
        self.routes_replies = not is_old
        #: Whether ``invoicerequest`` adds invreq_paths when the node announces no address.
        self.makes_paths = not is_old
        #: Whether it keeps unknown fields when it signs.
        self.keeps_unknown_fields = not is_old
        #: Whether ``createinvoice`` refuses an invoice without a description.
        self.wants_description = is_old
        #: Whether it pays invoices with ``xpay``; else with ``pay``.
        self.pays_by_xpay = is_new
        #: What JSON calls a blinded path's first path key.
        self.path_key_name = "first_path_key" if is_new else "blinding"
        #: Whether ``help`` adds a description to the usage.
        self.documents_help = not is_new
        #: Feature bits (BOLT 9) besides those that all families have.
        self.own_features = (35, 43, 44, 63) if is_new else (45,)
