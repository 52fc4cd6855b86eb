"""The first hop of a blinded path that begins at our own node (BOLT 4, "Route Blinding")."""

from typing import NamedTuple

from ...bolt12 import tlv
from ...bolt12.blinded_path import BlindedHop, BlindedPath, check_point
from ...errors import LightningdError, MalformedError
from ...onion import blinding
from ..rpc.client import Client


class OwnHop(NamedTuple):
    """What the path tells us.

    :param next_node: 33-byte id of the node that comes next; None when ``scid`` names it.
    :param scid: the channel that leads there, by whichever name, as one 64-bit number.
    :param path_key: the path key for that node, 33 bytes.
    :param others: the hops after ours.
    """

    next_node: bytes | None
    scid: int
    path_key: bytes
    others: tuple[BlindedHop, ...]

    def rest(self, next_node: bytes) -> BlindedPath:
        """The path from the next node on."""
        return BlindedPath(next_node, self.path_key, self.others)


def read(client: Client, path: BlindedPath) -> OwnHop | None:
    """Take our hop off a path (``decryptencrypteddata``, from v24.11 on).

    lightningd would take it off as well, but tell us nothing of the node that comes next.

    :returns: None when nothing comes after us, or when we cannot read it.
    :raises UnreachableError: lightningd is gone.
    """
    ours, *others = path.hops
    if not others:
        return None
    params = {"encrypted_data": ours.encrypted_data.hex(), "path_key": path.first_path_key.hex()}
    try:
        answer = client.call("decryptencrypteddata", params)["decryptencrypteddata"]
        data = dict(tlv.decode_stream(bytes.fromhex(answer["decrypted"])))
        # BOLT 4: next_path_key_override replaces the key that follows from ours.
        path_key = data.get(blinding.NEXT_PATH_KEY_OVERRIDE, bytes.fromhex(answer["next_path_key"]))
        check_point(path_key, "next_path_key")
        # BOLT 4: either next_node_id or short_channel_id tells who is next.
        node = data.get(blinding.NEXT_NODE_ID)
        if node is not None:
            return OwnHop(check_point(node, "next_node_id"), 0, path_key, tuple(others))
        scid = int.from_bytes(data[blinding.SHORT_CHANNEL_ID], "big")
        return OwnHop(None, scid, path_key, tuple(others))
    except (LightningdError, MalformedError, KeyError, TypeError, ValueError):
        return None
