"""Networks of any shape, for what a line of nodes cannot show.

A shape is written down as the sandbox's topology, and comes up as a sandbox or
as real nodes. Most tests share one, the town:

    linked ─────── mute ─────── receiver
       ┊             │             │
       ┊           payer           │
       ┊             │             │
       ┊  private ┄ router ────── relay
       ┊             ╏             ┊
       ┊           double          ┊
       └┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┘

The mute node forwards payments, and no onion messages. The private node has one
unannounced channel with the router, the double one two. The linked node is
connected to the relay without a channel. Nobody announces an address, so nobody
connects to anybody.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from sendinvoice_cli.bolt12 import fields, signature, string, tlv
from sendinvoice_cli.bolt12.blinded_path import BlindedPath, ShortChannelIdDirection, parse_scid
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.onion import message
from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology
from tests.support.crafting import craft_request
from tests.support.requests_builder import Changes, encode

from . import CHAIN, Mailbox, Node, Result, real, run, wait_for
from .sandbox import Sandbox

#: Makes the invreq_paths of a request; it is given the path_id that their end has to find.
Paths = Callable[[bytes], Sequence[BlindedPath]]

_PUBLIC_MSAT = 5_000_000_000
_PRIVATE_MSAT = 1_000_000_000


def town(family: Family) -> Topology:
    """The town, see above."""
    nodes = {
        name: NodeSpec(name, family, has_address=False, onion_messages=name != "mute")
        for name in ("payer", "router", "relay", "mute", "receiver", "private", "double", "linked")
    }
    nodes["linked"] = replace(nodes["linked"], no_connect=True)
    public = (
        ("payer", "router"),
        ("router", "relay"),
        ("relay", "receiver"),
        ("payer", "mute"),
        ("mute", "receiver"),
        ("mute", "linked"),
    )
    return Topology(
        nodes=tuple(nodes.values()),
        channels=(
            *(
                ChannelSpec(left, right, _PUBLIC_MSAT, left_msat=_PUBLIC_MSAT * 4 // 5)
                for left, right in public
            ),
            *(
                ChannelSpec("router", name, _PRIVATE_MSAT, left_msat=_PRIVATE_MSAT, public=False)
                for name in ("private", "double", "double")
            ),
        ),
        links=(("relay", "linked"),),
    )


@dataclass(frozen=True)
class Shape(ABC):
    """A network that is up.

    :param name: what it is made of, with its version.
    :param version: of the lightningd that it is, or that it acts like: (26, 6).
    :param nodes: by their names in the topology.
    """

    name: str
    version: tuple[int, int]
    nodes: Mapping[str, Node]

    @abstractmethod
    def hushed(self, request: str) -> AbstractContextManager[Mailbox]:
        """Inside of it, the payer gets invoices for a request, and neither pays nor answers."""

    @abstractmethod
    def path_id(self, node: str, request_id: bytes) -> bytes:
        """The path_id that a node expects at the end of its requests' paths, 32 bytes.

        :param request_id: 32 bytes, of the request without its paths.
        """

    @property
    def knows_paths(self) -> bool:
        """Whether lightningd knows invreq_paths, as the payer and as the receiver."""
        return self.version >= (24, 8)

    def id(self, name: str) -> bytes:
        """A node's 33-byte id."""
        return bytes.fromhex(self.nodes[name].id)

    def run(self, receiver: str, *args: object, timeout: float = 60) -> Result:
        """Run the command as a process of its own, for this node."""
        node = self.nodes[receiver]
        return run(
            *("--lightning-dir", node.lightning_dir, "--network", CHAIN), *args, timeout=timeout
        )

    def request(self, amount_msat: int, payer: str = "payer", **kw: Any) -> str:
        """Have a node make an invoice_request (``invoicerequest``).

        :param kw: more parameters of the call.
        """
        kw = {"description": "a refund", **kw}
        answer = self.nodes[payer].rpc("invoicerequest", amount=amount_msat, **kw)
        return str(answer["bolt12"])

    def scid(self, one: str, other: str) -> int:
        """The short_channel_id of the public channel of two nodes."""
        (scid,) = {
            half["short_channel_id"]
            for half in self.nodes[one].rpc("listchannels", source=self.nodes[one].id)["channels"]
            if half["destination"] == self.nodes[other].id
        }
        return parse_scid(scid)

    def end_of_channel(self, node: str, other: str) -> ShortChannelIdDirection:
        """A node, named as one end of its public channel with another."""
        ends = sorted((self.id(node), self.id(other)))
        return ShortChannelIdDirection(self.scid(node, other), ends.index(self.id(node)))

    def path(self, names: Sequence[str], path_id: bytes) -> BlindedPath:
        """A blinded path for onion messages along these nodes."""
        return message.reply_path([self.id(name) for name in names], path_id)

    def refund(
        self,
        amount_msat: int,
        changes: Changes | None = None,
        paths: Paths | None = None,
        *,
        single_use: bool = True,
    ) -> str:
        """Make a request of the payer's which has no signature, as LDK does.

        The payer knows it and pays it, unless it is too old to be told of a
        request that was made elsewhere.

        :param changes: fields to add.
        :param paths: its invreq_paths; without, it has none.
        """
        payer = self.nodes["payer"]
        records = _decode(craft_request(payer.id, amount_msat, changes))
        if paths is not None:
            path_id = self.path_id("payer", sha256(tlv.encode_stream(records)).digest())
            encoded = b"".join(path.encode() for path in paths(path_id))
            records = tuple(sorted((*records, Record(fields.INVREQ_PATHS, encoded))))
        unsigned = encode(records)
        if self.knows_paths:
            row = payer.rpc(
                "createinvoicerequest", bolt12=unsigned, savetodb=True, single_use=single_use
            )
            assert _without_signature(_decode(row["bolt12"])) == records
        return unsigned


def _decode(request: str) -> tuple[Record, ...]:
    return tlv.decode_stream(string.decode(request, "lnr"))


def _without_signature(records: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(record for record in records if not signature.is_signature(record))


# In the sandbox


@dataclass(frozen=True)
class _SandboxMailbox:
    sandbox: Sandbox
    part: bytes

    def invoices(self) -> list[bytes]:
        received = self.sandbox.received_invoices("payer")
        return [invoice for invoice in received if self.part in invoice]


@dataclass(frozen=True)
class SimulatedShape(Shape):
    """Nodes of a sandbox."""

    sandbox: Sandbox = field(repr=False)

    @contextmanager
    def hushed(self, request: str) -> Iterator[Mailbox]:
        """Inside of it, the payer gets invoices for a request, and neither pays nor answers."""
        part = dict(_decode(request))[fields.INVREQ_METADATA]
        self.sandbox.faults.be_silent("payer", part)
        try:
            yield _SandboxMailbox(self.sandbox, part)
        finally:
            self.sandbox.faults.behave("payer")

    def path_id(self, node: str, request_id: bytes) -> bytes:
        """The path_id that a node expects at the end of its requests' paths."""
        return self.sandbox._network.nodes[node].request_path_id(request_id)


@contextmanager
def simulated(topology: Topology) -> Iterator[SimulatedShape]:
    """Bring a shape up in the sandbox, and down again.

    :param topology: of nodes of one family, one of which is the payer.
    """
    (family,) = {spec.family for spec in topology.nodes}
    with Sandbox(topology) as sandbox:
        nodes = {
            spec.name: Node(
                spec.name,
                Path(sandbox.lightning_dir(spec.name)),
                sandbox.node_id(spec.name).hex(),
            )
            for spec in topology.nodes
        }
        yield SimulatedShape(f"sandbox {family.value}", _number(family), nodes, sandbox)


def _number(family: Family) -> tuple[int, int]:
    year, month = family.value[1:].split(".")
    return int(year), int(month)


# Real nodes

#: From this version on, payments may be fronted.
FRONTING = (26, 4)


@dataclass(frozen=True)
class RealShape(Shape):
    """Nodes of lightningd."""

    def hushed(self, request: str) -> AbstractContextManager[Mailbox]:
        """Inside of it, the payer gets invoices for a request, and neither pays nor answers."""
        part = dict(_decode(request))[fields.INVREQ_METADATA]
        return real.hushed(self.nodes["payer"], part.hex())

    def path_id(self, node: str, request_id: bytes) -> bytes:
        """The path_id that a node expects at the end of its requests' paths.

        lightningd's own plugin makes it in the same way when it makes a path.
        """
        base = self.nodes[node].rpc("makesecret", string="offer-blinded-path")["secret"]
        return sha256(bytes.fromhex(base) + request_id).digest()


@contextmanager
def real_nodes(
    directory: Path, topology: Topology, fronted: Mapping[str, str]
) -> Iterator[RealShape]:
    """Bring a shape up as nodes of the lightningd on PATH, and down to the last process.

    Families, and the states, aliases and fees of the topology do not count.

    :param directory: an empty one, for the nodes' files.
    :param fronted: nodes with ``payment-fronting-node``, and that node; where lightningd has it.
    """
    said, number = real.version()
    if number < FRONTING:
        fronted = {}
    with ExitStack() as cleanup:
        executor = cleanup.enter_context(ThreadPoolExecutor(max_workers=20))
        bitcoind = real.start_bitcoind(directory, cleanup)
        factory = real.node_factory(directory, bitcoind, executor)
        options = {spec.name: _options(spec, number) for spec in topology.nodes}
        options["payer"]["plugin"] = str(real.mailbox_executable(directory))
        first = {name: each for name, each in options.items() if name not in fronted}
        handles = real.start_nodes(factory, first, executor, cleanup)
        for name, front in fronted.items():
            options[name]["payment-fronting-node"] = handles[front].info["id"]
        late = {name: options[name] for name in fronted}
        handles |= real.start_nodes(factory, late, executor, cleanup)
        nodes = real.nodes_of(handles)
        pairs = {(spec.left, spec.right): None for spec in topology.channels}
        real.connect(nodes, handles, (*pairs, *topology.links))
        _open_channels(topology, nodes, bitcoind, executor)
        for spec in topology.nodes:
            what = f"all channels of the {spec.name}, and its gossip"
            wait_for(partial(_is_ready, nodes, topology, spec.name), what)
        yield RealShape(f"lightningd {said}", number, nodes)


def _options(spec: NodeSpec, number: tuple[int, int]) -> dict[str, str | None]:
    options = real.common_options(number, onion_messages=spec.onion_messages)
    options["alias"] = spec.name
    if spec.no_connect:
        options["fetchinvoice-noconnect"] = None
    return options


def _open_channels(
    topology: Topology, nodes: Mapping[str, Node], bitcoind: Any, executor: ThreadPoolExecutor
) -> None:
    of_funder: dict[str, list[ChannelSpec]] = {}
    for spec in topology.channels:
        of_funder.setdefault(spec.left, []).append(spec)
    # Each output is enough for any channel: opening one leaves the others alone.
    most_sat = max(spec.capacity_msat for spec in topology.channels) // 1000
    real.give(bitcoind, [nodes[spec.left] for spec in topology.channels], most_sat)
    real.mine(bitcoind, nodes, 1)

    def open_all(funder: str) -> list[str]:
        specs = of_funder[funder]
        wait_for(partial(real.has_funds, nodes[funder], len(specs)), f"the {funder}'s funds")
        return [_open(nodes, spec) for spec in specs]

    funding = [txid for txids in executor.map(open_all, of_funder) for txid in txids]
    bitcoind.generate_block(1, wait_for_mempool=funding)
    # A node that has not seen the depth of a channel yet would drop its announcement.
    real.mine(bitcoind, nodes, 4)
    real.mine(bitcoind, nodes, 1)


def _open(nodes: Mapping[str, Node], spec: ChannelSpec) -> str:
    left_msat = spec.capacity_msat // 2 if spec.left_msat is None else spec.left_msat
    opened = nodes[spec.left].rpc(
        "fundchannel",
        id=nodes[spec.right].id,
        amount=spec.capacity_msat // 1000,
        push_msat=spec.capacity_msat - left_msat,
        announce=spec.public,
    )
    return str(opened["txid"])


def _is_ready(nodes: Mapping[str, Node], topology: Topology, name: str) -> bool:
    """Whether a node knows all public channels and their ends, and can use its own."""
    node = nodes[name]
    public = [spec for spec in topology.channels if spec.public]
    known = {each["nodeid"] for each in node.rpc("listnodes")["nodes"] if "alias" in each}
    halves = [
        half for half in node.rpc("listchannels")["channels"] if half["active"] and half["public"]
    ]
    own = [spec for spec in topology.channels if name in (spec.left, spec.right)]
    open_ones = [
        channel
        for channel in node.rpc("listpeerchannels")["channels"]
        if channel["state"] == "CHANNELD_NORMAL"
        and (channel.get("alias", {}).get("remote") or not channel["private"])
    ]
    ends = {end for spec in public for end in (spec.left, spec.right)}
    return (
        len(halves) == 2 * len(public)
        and {nodes[end].id for end in ends} <= known
        and len(open_ones) == len(own) == len(node.rpc("listincoming")["incoming"])
    )
