"""Onion messages: the payload for each node on the way.

Source: BOLT 4, "Onion Messages".
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..bolt12 import tlv
from ..bolt12.blinded_path import BlindedPath
from ..bolt12.tlv import Record
from . import blinding
from .blinding import Blind, PathNode

#: Types of the fields of onionmsg_tlv.
REPLY_PATH = 2
ENCRYPTED_RECIPIENT_DATA = 4
INVOICE_REQUEST = 64
INVOICE = 66
INVOICE_ERROR = 68

#: Bytes of payloads in the two sizes of onion packets.
PACKET_SIZES = (1300, 32768)
_HMAC_SIZE = 32


class OnionHop(NamedTuple):
    """One layer: the 33-byte blinded id it is for, and its onionmsg_tlv stream."""

    blinded_node_id: bytes
    payload: bytes

    def with_length(self) -> bytes:
        """The payload behind its bigsize length, as ``createonion`` wants it."""
        return tlv.encode_bigsize(len(self.payload)) + self.payload


class OnionMessage(NamedTuple):
    """A message before ``createonion`` wraps it into an onion.

    :param first_node: 33-byte id of the node that unwraps the first layer.
    :param first_path_key: 33-byte point, sent to that node along with the onion.
    :param hops: at least one, in the order in which they unwrap.
    """

    first_node: bytes
    first_path_key: bytes
    hops: tuple[OnionHop, ...]

    def packet_size(self) -> int | None:
        """Size of the packet's payloads in bytes: 1300 or 32768, None when too large for both."""
        needed = sum(len(hop.with_length()) + _HMAC_SIZE for hop in self.hops)
        return next((size for size in PACKET_SIZES if needed <= size), None)


def outgoing(
    nodes: Sequence[bytes],
    content: Sequence[Record],
    their_path: BlindedPath | None = None,
    first_scid: int | None = None,
    blind: Blind = blinding.blind_path,
) -> OnionMessage:
    """Make the layers of a message.

    Their lengths may differ: each node sees its own layer alone.

    :param nodes: 33-byte node ids. The first unwraps the first layer; the last
        is the recipient or, with ``their_path``, its introduction node.
    :param content: onionmsg_tlv records for the recipient, in order of type.
    :param their_path: the recipient's own blinded path.
    :param first_scid: a short_channel_id by which the first node knows a channel with the
        second; it takes 25 bytes less than the second's id (BOLT 4 allows either).
    :param blind: makes the path over these nodes.
    """
    if their_path is None:
        path = blind(_chain(nodes, first_scid=first_scid))
    elif len(nodes) == 1:
        path = BlindedPath(nodes[0], their_path.first_path_key, their_path.hops)
    else:
        # The node before the introduction node passes on the first path key of
        # their path, instead of its own.
        joint = Record(blinding.NEXT_PATH_KEY_OVERRIDE, their_path.first_path_key)
        chain = _chain(nodes, before_last=(joint,), first_scid=first_scid)
        ours = blind(chain[:-1])
        path = BlindedPath(nodes[0], ours.first_path_key, ours.hops + their_path.hops)
    last = len(path.hops) - 1
    hops = []
    for at, hop in enumerate(path.hops):
        data = Record(ENCRYPTED_RECIPIENT_DATA, hop.encrypted_data)
        records = sorted((data, *content)) if at == last else (data,)
        hops.append(OnionHop(hop.blinded_node_id, tlv.encode_stream(records)))
    return OnionMessage(nodes[0], path.first_path_key, tuple(hops))


def reply_path(
    nodes: Sequence[bytes], path_id: bytes, blind: Blind = blinding.blind_path
) -> BlindedPath:
    """A blinded path to us.

    :param nodes: 33-byte node ids; the last is ours.
    :param path_id: 32 secret bytes; a message that carries them came along this path.
    :param blind: as for :func:`outgoing`.
    """
    chain = _chain(nodes, last=(Record(blinding.PATH_ID, path_id),))
    return blind(blinding.padded(chain))


def _chain(
    nodes: Sequence[bytes],
    before_last: tuple[Record, ...] = (),
    last: tuple[Record, ...] = (),
    first_scid: int | None = None,
) -> list[PathNode]:
    """Tell each node of a path which is next, and the last two what else they need."""
    chain = []
    for at, node in enumerate(nodes):
        if at == len(nodes) - 1:
            data = last
        else:
            data = (_next_hop(nodes[at + 1], first_scid if at == 0 else None),)
            if at == len(nodes) - 2:
                data += before_last
        chain.append(PathNode(node, data))
    return chain


def _next_hop(node: bytes, scid: int | None) -> Record:
    if scid is None:
        return Record(blinding.NEXT_NODE_ID, node)
    return Record(blinding.SHORT_CHANNEL_ID, scid.to_bytes(8, "big"))
