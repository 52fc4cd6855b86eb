"""The versions of lightningd that the sandbox can act as, and what sets them apart."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

#: Feature bit of option_onion_messages, as lightningd offers it (BOLT 9).
ONION_MESSAGES_BIT = 39

_COMMON_BITS = (0, 5, 7, 8, 11, 12, 14, 17, 19, 23, 25, 27, 39, 47, 51)
#: Seen in node_announcement only: option_keysend.
_NODE_ONLY_BIT = 55


class Family(Enum):
    """One family of versions, named by its first."""

    #: v23.08 to v24.05: ``sendonionmessage``, and replies only along direct peers.
    V24_02 = "v24.02"
    #: v24.08: ``injectonionmessage`` takes hops.
    V24_08 = "v24.08"
    #: v24.11 and later: ``injectonionmessage`` takes an onion.
    V26_06 = "v26.06"

    @property
    def version(self) -> str:
        """What ``getinfo`` calls the version."""
        return {"v24.02": "v24.02.2", "v24.08": "v24.08.2", "v26.06": "v26.06.6"}[self.value]

    @property
    def limits_messages(self) -> bool:
        """Whether it limits the onion messages that it takes from each peer."""
        return self is not Family.V24_02

    @property
    def forwards_by_scid(self) -> bool:
        """Whether it forwards an onion message that names the next node by a channel."""
        return self is not Family.V24_02

    @property
    def routes_replies(self) -> bool:
        """Whether a payer looks for a way to a reply path that does not begin at a peer."""
        return self is not Family.V24_02

    @property
    def makes_paths(self) -> bool:
        """Whether ``invoicerequest`` adds invreq_paths when the node announces no address."""
        return self is not Family.V24_02

    @property
    def keeps_unknown_fields(self) -> bool:
        """Whether it keeps the fields that it does not know of what it signs."""
        return self is not Family.V24_02

    @property
    def wants_description(self) -> bool:
        """Whether ``createinvoice`` takes no invoice without a description."""
        return self is Family.V24_02

    @property
    def pays_by_xpay(self) -> bool:
        """Whether invoices are paid by ``xpay``; else by ``pay``."""
        return self is Family.V26_06

    @property
    def path_key_name(self) -> str:
        """What JSON calls a blinded path's first path key."""
        return "first_path_key" if self is Family.V26_06 else "blinding"

    @property
    def documents_help(self) -> bool:
        """Whether ``help`` adds a description to the usage."""
        return self is not Family.V26_06

    def init_features(self, onion_messages: bool) -> str:
        """The features of the init message, big-endian bitmap in hex."""
        return bitmap(self._bits(onion_messages)).hex()

    def node_features(self, onion_messages: bool) -> str:
        """The features of the node_announcement, big-endian bitmap in hex."""
        return bitmap((*self._bits(onion_messages), _NODE_ONLY_BIT)).hex()

    def _bits(self, onion_messages: bool) -> tuple[int, ...]:
        own = (35, 43, 44, 63) if self is Family.V26_06 else (45,)
        return tuple(
            bit for bit in (*_COMMON_BITS, *own) if onion_messages or bit != ONION_MESSAGES_BIT
        )


def bitmap(bits: Iterable[int]) -> bytes:
    """A big-endian bitmap without leading zero bytes (BOLT 9)."""
    number = sum(1 << bit for bit in bits)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
