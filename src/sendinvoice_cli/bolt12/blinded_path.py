"""The wire form of blinded paths (BOLT 4, "Route Blinding"; BOLT 12, "blinded_path")."""

from typing import NamedTuple

from coincurve import PublicKey

from ..errors import MalformedError

POINT_SIZE = 33


class ShortChannelIdDirection(NamedTuple):
    """A node named as one end of a channel (BOLT 1, ``sciddir_or_pubkey``).

    :param scid: short_channel_id as one 64-bit number.
    :param direction: 0 for the end with the lesser node id, 1 for the other.
    """

    scid: int
    direction: int

    def __str__(self) -> str:
        return f"{format_scid(self.scid)}/{self.direction}"


#: A path names its introduction node by a 33-byte node id, or as one end of a channel.
IntroductionNode = bytes | ShortChannelIdDirection


class BlindedHop(NamedTuple):
    """One hop: 33-byte blinded node id, and its encrypted_recipient_data."""

    blinded_node_id: bytes
    encrypted_data: bytes


class BlindedPath(NamedTuple):
    """A path to its creator that hides every node after the introduction node.

    :param first_path_key: 33-byte point for the introduction node.
    :param hops: at least one; the first is for the introduction node.
    """

    introduction_node: IntroductionNode
    first_path_key: bytes
    hops: tuple[BlindedHop, ...]

    def encode(self) -> bytes:
        """The path on the wire."""
        if isinstance(self.introduction_node, bytes):
            head = self.introduction_node
        else:
            node = self.introduction_node
            head = node.direction.to_bytes(1, "big") + node.scid.to_bytes(8, "big")
        body = b"".join(
            hop.blinded_node_id + len(hop.encrypted_data).to_bytes(2, "big") + hop.encrypted_data
            for hop in self.hops
        )
        return head + self.first_path_key + len(self.hops).to_bytes(1, "big") + body


def format_scid(scid: int) -> str:
    """A short_channel_id as lightningd writes it: ``BLOCKxTXxOUTPUT``."""
    return f"{scid >> 40}x{scid >> 16 & 0xFFFFFF}x{scid & 0xFFFF}"


def parse_scid(text: str) -> int:
    """Read a short_channel_id as lightningd writes it: ``BLOCKxTXxOUTPUT``.

    :raises ValueError: it is not one.
    """
    block, transaction, output = (int(part) for part in text.split("x"))
    scid = block << 40 | transaction << 16 | output
    if scid >= 1 << 64 or format_scid(scid) != text:
        raise ValueError("not a short_channel_id")
    return scid


def check_point(point: bytes, name: str) -> bytes:
    """Return ``point`` if it is a valid compressed point of 33 bytes.

    :param name: the field's name, for the error.
    :raises MalformedError: it is not.
    """
    if len(point) == POINT_SIZE and point[0] in (2, 3):
        try:
            PublicKey(point)
        except ValueError:
            pass
        else:
            return point
    raise MalformedError(f"{name}: not a valid public key")


def decode_paths(data: bytes, name: str) -> tuple[BlindedPath, ...]:
    """Read a field that is a list of blinded paths.

    :param name: the field's name, for the errors.
    :raises MalformedError: cut short, an invalid point, a path without hops, or no path at all.
    """
    # BOLT 12, "Invoice Requests" and "Invoices": a field of paths has one at least.
    reader = _Reader(data, name)
    paths = []
    while not reader.at_end():
        paths.append(_read_path(reader))
    if not paths:
        raise MalformedError(f"{name}: has no path")
    return tuple(paths)


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._offset = 0
        self.name = name

    def at_end(self) -> bool:
        return self._offset == len(self._data)

    def take(self, size: int) -> bytes:
        end = self._offset + size
        if end > len(self._data):
            raise MalformedError(f"{self.name}: a path is cut short")
        taken = self._data[self._offset : end]
        self._offset = end
        return taken

    def take_int(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def take_point(self, first: bytes = b"") -> bytes:
        return check_point(first + self.take(POINT_SIZE - len(first)), self.name)


def _read_path(reader: _Reader) -> BlindedPath:
    first = reader.take(1)
    introduction_node: IntroductionNode
    # BOLT 1, sciddir_or_pubkey: 0 or 1 is the end of a channel, 2 or 3 begins a point.
    if first[0] in (0, 1):
        introduction_node = ShortChannelIdDirection(reader.take_int(8), first[0])
    else:
        introduction_node = reader.take_point(first)
    first_path_key = reader.take_point()
    count = reader.take_int(1)
    # BOLT 12: a reader rejects a path without hops.
    if count == 0:
        raise MalformedError(f"{reader.name}: a path has no hops")
    hops = tuple(
        BlindedHop(reader.take_point(), reader.take(reader.take_int(2))) for _ in range(count)
    )
    return BlindedPath(introduction_node, first_path_key, hops)
