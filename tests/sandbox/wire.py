"""Calls to a sandbox through its sockets, and answers to requests.

It does what the command does, without the command, by raw JSON-RPC.
"""

from __future__ import annotations

import json
import secrets
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from sendinvoice_cli.bolt12 import invoice, invoice_error, invoice_request, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedPath
from sendinvoice_cli.bolt12.invoice import BlindedPayinfo, PaymentPath
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import blinding, message
from sendinvoice_cli.onion.blinding import PathNode
from sendinvoice_cli.sandbox.model.channels import Channel
from sendinvoice_cli.sandbox.model.sphinx import Hop
from sendinvoice_cli.sandbox.model.topology import Topology
from tests.networks.sandbox import Sandbox

_TIMEOUT_SECONDS = 20


class CallError(Exception):
    """A call was answered with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


class Connection:
    """A connection to a node's socket."""

    def __init__(self, rpc_file: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_TIMEOUT_SECONDS)
        self._socket.connect(str(rpc_file))
        self._buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._socket.sendall(data)

    def request(self, id_: Any, method: str, params: Any = None, **members: Any) -> None:
        """Write a request."""
        request = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params or {}}
        self.send(json.dumps({**request, **members}).encode())

    def read(self) -> bytes:
        """The next answer without its two newlines; what is left once the other side has closed."""
        while b"\n\n" not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                left, self._buffer = self._buffer, b""
                return left
            self._buffer += data
        answer, self._buffer = self._buffer.split(b"\n\n", 1)
        return answer

    def has_answer(self) -> bool:
        """Whether there is something to read now."""
        return bool(self._buffer) or bool(select.select([self._socket], [], [], 0)[0])

    def response(self) -> dict[str, Any]:
        """The next answer, read as JSON."""
        answer = json.loads(self.read())
        assert isinstance(answer, dict)
        return answer


def call(sandbox: Sandbox, node: str, method: str, **params: Any) -> dict[str, Any]:
    """Make a call on a new connection.

    :raises CallError: it was answered with an error.
    """
    with Connection(sandbox.rpc_file(node)) as connection:
        connection.request("a test", method, params)
        answer = connection.response()
    if "error" in answer:
        raise CallError(answer["error"])
    result = answer["result"]
    assert isinstance(result, dict)
    return result


@dataclass(frozen=True)
class Prepared:
    """An invoice that the receiver has signed, ready to be sent."""

    bolt12: str
    label: str
    preimage: bytes
    their_path: BlindedPath | None


def prepare(
    sandbox: Sandbox,
    request: str,
    label: str,
    *,
    receiver: str = "carol",
    amount_msat: int | None = None,
    relative_expiry: int = 3600,
    payment_paths: Sequence[PaymentPath] = (),
    preimage: bytes | None = None,
) -> Prepared:
    """Have the receiver sign an invoice for a request."""
    decoded = invoice_request.decode(request)
    preimage = preimage or secrets.token_bytes(32)
    records = invoice.build_unsigned(
        decoded,
        amount_msat=amount_msat or decoded.amount_msat or 0,
        payment_hash=sha256(preimage).digest(),
        node_id=sandbox.node_id(receiver),
        created_at=int(sandbox.clock()),
        relative_expiry=relative_expiry,
        payment_paths=payment_paths,
    )
    row = call(
        sandbox,
        receiver,
        "createinvoice",
        invstring=invoice.encode(records),
        label=label,
        preimage=preimage.hex(),
    )
    their_path = decoded.paths[0] if decoded.paths else None
    return Prepared(row["bolt12"], label, preimage, their_path)


def send(
    sandbox: Sandbox,
    names: Sequence[str],
    content: Sequence[Record],
    their_path: BlindedPath | None = None,
) -> None:
    """Send an onion message with the call that the first node has.

    :param names: nodes on the route, the sender first.
    """
    nodes = [sandbox.node_id(name) for name in names]
    usage = " ".join(
        row["command"] for row in sandbox.call(names[0], "help")["help"] if "onionm" in str(row)
    )
    if "sendonionmessage" in usage:
        nodes = nodes[1:]
    onion = message.outgoing(nodes, content, their_path)
    hops = [{"id": hop.blinded_node_id.hex(), "tlv": hop.payload.hex()} for hop in onion.hops]
    first_path_key = onion.first_path_key.hex()
    if "path_key" in usage:
        packet = call(
            sandbox,
            names[0],
            "createonion",
            hops=[
                {"pubkey": hop.blinded_node_id.hex(), "payload": hop.with_length().hex()}
                for hop in onion.hops
            ],
            assocdata="",
            onion_size=onion.packet_size(),
        )
        inject = {"path_key": first_path_key, "message": packet["onion"]}
        call(sandbox, names[0], "injectonionmessage", **inject)
    elif "injectonionmessage" in usage:
        call(sandbox, names[0], "injectonionmessage", blinding=first_path_key, hops=hops)
    else:
        first_id = onion.first_node.hex()
        call(
            sandbox,
            names[0],
            "sendonionmessage",
            first_id=first_id,
            blinding=first_path_key,
            hops=hops,
        )


def payment_path(
    sandbox: Sandbox,
    preimage: bytes,
    *,
    peer: str = "bob",
    hop: Record | None = None,
    path_id: bytes | None = None,
    most_cltv: int = 10_000,
) -> PaymentPath:
    """A payment path from a peer of carol's to her.

    :param hop: names carol to the peer; by default, by her node id.
    """
    cltv_delta, ppm, base = 6, 10, 1
    first, carol = sandbox.node_id(peer), sandbox.node_id("carol")
    relay = cltv_delta.to_bytes(2, "big") + ppm.to_bytes(4, "big") + tlv.encode_tu(base)
    base_secret = call(sandbox, "carol", "makesecret", string="bolt12-invoice-base")["secret"]
    payment_hash = sha256(preimage).digest()
    right_id = sha256(bytes.fromhex(base_secret) + payment_hash).digest()
    of_first = [
        hop or Record(blinding.NEXT_NODE_ID, carol),
        Record(blinding.PAYMENT_RELAY, relay),
        Record(blinding.PAYMENT_CONSTRAINTS, most_cltv.to_bytes(4, "big")),
    ]
    path = blinding.blind_path(
        [
            PathNode(first, tuple(sorted(of_first))),
            PathNode(carol, (Record(blinding.PATH_ID, path_id or right_id),)),
        ]
    )
    info = BlindedPayinfo(base, ppm, cltv_delta + 10, 0, 10**12)
    return PaymentPath(path, info)


def deliver(
    sandbox: Sandbox,
    prepared: Prepared,
    names: Sequence[str] = ("carol", "bob", "alice"),
    *,
    reply_names: Sequence[str] = ("bob", "carol"),
    path_id: bytes = bytes(32),
) -> None:
    """Send an invoice with a reply path, and wait until everything has settled.

    :param names: nodes on the route to the payer or its path's introduction node.
    :param reply_names: nodes on the reply path.
    """
    reply_path = message.reply_path([sandbox.node_id(name) for name in reply_names], path_id)
    content = [
        Record(message.REPLY_PATH, reply_path.encode()),
        Record(message.INVOICE, tlv.encode_stream(invoice.decode(prepared.bolt12))),
    ]
    send(sandbox, names, content, prepared.their_path)
    sandbox.settle()


def row(sandbox: Sandbox, label: str, receiver: str = "carol") -> dict[str, Any]:
    """The receiver's row of an invoice."""
    (found,) = call(sandbox, receiver, "listinvoices", label=label)["invoices"]
    assert isinstance(found, dict)
    return found


def refusals(sandbox: Sandbox, payer: str = "alice") -> list[str]:
    """The payer's reasons for refusing invoices, in order."""
    texts = []
    for line in sandbox.log(payer):
        if line.startswith("Failed invoice lni1"):
            texts.append(line.split(": ", 1)[1])
    return texts


def text_of_error(data: str) -> str:
    """The text of an invoice_error in hex."""
    return invoice_error.decode(bytes.fromhex(data)).text


def onion_hop(public_key: bytes, payload: bytes) -> Hop:
    """A layer to build, with the length added to its payload."""
    return Hop(public_key, tlv.encode_bigsize(len(payload)) + payload)


def with_node(topology: Topology, name: str, **changes: Any) -> Topology:
    """The same network, with one node changed."""
    nodes = (replace(node, **changes) if node.name == name else node for node in topology.nodes)
    return replace(topology, nodes=tuple(nodes))


def channel_between(sandbox: Sandbox, one: str, other: str) -> Channel:
    """The only channel of two nodes, to be changed from outside."""
    ends = sandbox.node_id(one), sandbox.node_id(other)
    (channel,) = sandbox._network.channels.between(*ends)
    return channel
