"""The same network in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sendinvoice_cli.sandbox.model.family import Family
from sendinvoice_cli.sandbox.model.topology import ChannelSpec, NodeSpec, Topology

from . import Mailbox, Network, Node
from .sandbox import Sandbox

ROLES = ("payer", "router", "receiver", "hermit", "recluse")
CHANNELS = (("payer", "router"), ("router", "receiver"), ("hermit", "recluse"))
CAPACITY_MSAT = 5_000_000_000


@dataclass(frozen=True)
class _SandboxMailbox:
    sandbox: Sandbox
    before: int
    part: bytes

    def invoices(self) -> list[bytes]:
        received = self.sandbox.received_invoices("payer")[self.before :]
        return [invoice for invoice in received if self.part in invoice]


@dataclass(frozen=True)
class SimulatedNetwork(Network):
    """Nodes of a sandbox, which has faults beyond what a real network can be made to show."""

    sandbox: Sandbox = field(repr=False)

    @contextmanager
    def hushed(self, request: str | None = None) -> Iterator[Mailbox]:
        """Inside of it, the payer gets invoices and neither pays nor answers."""
        part = b""
        if request is not None:
            part = bytes.fromhex(self.payer.rpc("decode", string=request)["invreq_metadata"])
        self.sandbox.faults.be_silent("payer", part)
        try:
            yield _SandboxMailbox(self.sandbox, len(self.sandbox.received_invoices("payer")), part)
        finally:
            self.sandbox.faults.behave("payer")

    @contextmanager
    def stopped(self, node: Node) -> Iterator[None]:
        """Inside of it, this node does not run."""
        self.sandbox.stop_node(node.role)
        try:
            yield
        finally:
            self.sandbox.start_node(node.role)

    @contextmanager
    def frozen(self, node: Node) -> Iterator[None]:
        """Inside of it, this node does nothing. Its connections stay."""
        self.sandbox.freeze_node(node.role)
        try:
            yield
        finally:
            self.sandbox.thaw_node(node.role)


def topology(family: Family) -> Topology:
    """A line of three, and two nodes apart from it; only the hermit announces an address."""
    return Topology(
        nodes=tuple(NodeSpec(role, family, has_address=role == "hermit") for role in ROLES),
        channels=tuple(
            ChannelSpec(left, right, capacity_msat=CAPACITY_MSAT) for left, right in CHANNELS
        ),
    )


@contextmanager
def network(
    family: Family, shape: Topology | None = None, *, in_batch: bool = False
) -> Iterator[SimulatedNetwork]:
    """Bring a network up, and down again.

    :param shape: with nodes of all ROLES but the recluse.
    :param in_batch: commands are batches of one row.
    """
    with Sandbox(shape or topology(family)) as sandbox:
        roles = {
            role: Node(role, Path(sandbox.lightning_dir(role)), sandbox.node_id(role).hex())
            for role in ROLES
            if role != "recluse"
        }
        number = tuple(int(part) for part in family.value[1:].split("."))
        yield SimulatedNetwork(
            f"sandbox {family.value}",
            (number[0], number[1]),
            **roles,
            sandbox=sandbox,
            in_batch=in_batch,
        )
