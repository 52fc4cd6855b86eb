"""Onion messages: the payload for each node on the way.

Source: BOLT 4, "Onion Messages".
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..bolt12 import tlv
from ..bolt12.blinded_path import POINT_SIZE, BlindedPath
from ..bolt12.tlv import Record
from . import blinding
from .blinding import PathNode

#: Types of the fields of onionmsg_tlv.
REPLY_PATH = 2
ENCRYPTED_RECIPIENT_DATA = 4
INVOICE_REQUEST = 64
INVOICE = 66
INVOICE_ERROR = 68

#: Bytes of payloads in the two sizes of onion packets.
PACKET_SIZES = (1300, 32768)
_HMAC_SIZE = 32
#: Bytes of the tag of encrypted data, and of a next_node_id, next_path_key_override or path_id
#: record.
_TAG_SIZE = 16
_NEXT_NODE_SIZE = 35
_PATH_ID_SIZE = 34
#: Bytes of a short_channel_id record.
_SCID_SIZE = 10


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
        return _packet_size(sum(len(hop.with_length()) + _HMAC_SIZE for hop in self.hops))


def outgoing(
    nodes: Sequence[bytes],
    content: Sequence[Record],
    their_path: BlindedPath | None = None,
    first_scid: int | None = None,
) -> OnionMessage:
    """Make the layers of a message.

    Their lengths may differ: each node sees its own layer alone.

    :param nodes: 33-byte node ids. The first unwraps the first layer; the last
        is the recipient or, with ``their_path``, its introduction node.
    :param content: onionmsg_tlv records for the recipient, in order of type.
    :param their_path: the recipient's own blinded path.
    :param first_scid: a short_channel_id by which the first node knows a channel with the
        second; it takes 25 bytes less than the second's id (BOLT 4 allows either).
    """
    if their_path is None:
        path = blinding.blind_path(_chain(nodes, first_scid=first_scid))
    elif len(nodes) == 1:
        path = BlindedPath(nodes[0], their_path.first_path_key, their_path.hops)
    else:
        # The node before the introduction node passes on the first path key of
        # their path, instead of its own.
        joint = Record(blinding.NEXT_PATH_KEY_OVERRIDE, their_path.first_path_key)
        chain = _chain(nodes, before_last=(joint,), first_scid=first_scid)
        ours = blinding.blind_path(chain[:-1])
        path = BlindedPath(nodes[0], ours.first_path_key, ours.hops + their_path.hops)
    last = len(path.hops) - 1
    hops = []
    for at, hop in enumerate(path.hops):
        data = Record(ENCRYPTED_RECIPIENT_DATA, hop.encrypted_data)
        records = sorted((data, *content)) if at == last else (data,)
        hops.append(OnionHop(hop.blinded_node_id, tlv.encode_stream(records)))
    return OnionMessage(nodes[0], path.first_path_key, tuple(hops))


def expected_packet_size(
    nodes: Sequence[bytes],
    their_path: BlindedPath | None,
    content_size: int,
    first_scid: int | None = None,
) -> int:
    """What :meth:`OnionMessage.packet_size` will be, without making the message.

    :param nodes: as for :func:`outgoing`, like their_path and first_scid.
    :param content_size: bytes of the records for the recipient.
    """
    data_sizes = [_NEXT_NODE_SIZE] * (len(nodes) - 1)
    if first_scid is not None and data_sizes:
        data_sizes[0] = _SCID_SIZE
    if their_path is None:
        data_sizes.append(0)
    else:
        if data_sizes:
            # next_path_key_override
            data_sizes[-1] += _NEXT_NODE_SIZE
        data_sizes += (len(hop.encrypted_data) - _TAG_SIZE for hop in their_path.hops)
    *before, last = data_sizes
    needed = sum(map(_hop_size, before)) + _hop_size(last, content_size)
    return _packet_size(needed) or PACKET_SIZES[-1]


def reply_path_size(nodes: int) -> int:
    """Bytes of the record for a :func:`reply_path` over this number of nodes."""
    data_size = blinding.padded_size(
        (_NEXT_NODE_SIZE, _PATH_ID_SIZE) if nodes > 1 else (_PATH_ID_SIZE,)
    )
    size = 2 * POINT_SIZE + 1 + nodes * (POINT_SIZE + 2 + data_size + _TAG_SIZE)
    return size + (2 if size < 253 else 4)


def _hop_size(data_size: int, content_size: int = 0) -> int:
    """Bytes of one layer in a packet.

    :param data_size: bytes of data that will be encrypted.
    """
    encrypted = data_size + _TAG_SIZE
    payload = encrypted + (2 if encrypted < 253 else 4) + content_size
    return payload + (1 if payload < 253 else 3) + _HMAC_SIZE


def _packet_size(needed: int) -> int | None:
    return next((size for size in PACKET_SIZES if needed <= size), None)


def reply_path(nodes: Sequence[bytes], path_id: bytes) -> BlindedPath:
    """A blinded path to us.

    :param nodes: 33-byte node ids; the last is ours.
    :param path_id: 32 secret bytes; a message that carries them came along this path.
    """
    chain = _chain(nodes, last=(Record(blinding.PATH_ID, path_id),))
    return blinding.blind_path(blinding.padded(chain))


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
