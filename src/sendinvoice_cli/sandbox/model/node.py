"""One node: its identity, and what it stores."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from . import limits
from .clock import Clock, Timers
from .invoices import InvoiceBook
from .limits import Limit
from .plugins import PluginHost, Surroundings
from .requests import StoredRequest
from .topology import NodeSpec

NETWORK = "regtest"
RPC_FILE = "lightning-rpc"

#: Feature bits (BOLT 9) of every family, in init and node_announcement.
_COMMON_BITS = (0, 5, 7, 8, 11, 12, 14, 17, 19, 23, 25, 27, 47, 51)
_ONION_MESSAGES_BIT = 39
#: In node_announcement only.
_KEYSEND_BIT = 55
#: Takes onion messages from channel peers only (lightning/bolts PR 1343). BOLT 9 has them beside
#: option_onion_messages, on which they depend; eclair sets them without it.
_CHANNEL_PEERS_ONLY_BITS = frozenset((66, 67))
#: option AMP: LND sets it, and nobody else does.
_AMP_BIT = 31
_INVOICE_FEATURES = "02000002024100"

#: What lightningd derives the secrets of its blinded paths from.
_INVOICE_BASE = b"bolt12-invoice-base"
_REQUEST_BASE = b"offers-blinded-path"


@dataclass
class PaymentRecord:
    """A payment that a node has made or tried.

    :param request_id: 32-byte id of the invoice_request.
    :param group: lightningd's ``groupid`` of the attempt.
    :param details: its row of ``listpays`` without the status.
    :param status: ``pending``, ``complete`` or ``failed``.
    :param sharing: told if it fails: other attempts that share its outcome.
    """

    request_id: bytes
    group: int
    details: dict[str, Any]
    status: str = "pending"
    sharing: list[Callable[[], None]] = field(default_factory=list)

    def complete(self, **details: Any) -> None:
        """Record that it has arrived."""
        self.status = "complete"
        self.details.update(details)

    def fail(self) -> None:
        """Record that it has failed."""
        self.status = "failed"
        for tell in self.sharing:
            tell()


class Node:
    """A node. Everything but its plugins survives a restart.

    :param base: directory of the sandbox.
    """

    def __init__(self, spec: NodeSpec, base: Path, clock: Clock, timers: Timers) -> None:
        self.spec = spec
        self.name = spec.name
        #: Which lightningd it acts as.
        self.family = spec.family
        #: The name it announces.
        self.alias = spec.alias or spec.name
        self.private_key = PrivateKey(sha256(b"sendinvoice sandbox " + spec.name.encode()).digest())
        self.id = self.private_key.public_key.format()
        self.invoices = InvoiceBook(clock, timers)
        #: Its invoice_requests, by id.
        self.requests: dict[bytes, StoredRequest] = {}
        self.payments: dict[bytes, PaymentRecord] = {}
        #: By channel (scid) and end (node id): an amount (msat) that it did not carry, and until
        #: when this node believes that (UNIX seconds).
        self.too_much: dict[tuple[int, bytes], tuple[int, float]] = {}
        self.is_running = False
        self.lightning_dir = base / spec.name
        self.network_dir = self.lightning_dir / NETWORK
        self.rpc_file = self.network_dir / RPC_FILE
        self.plugins = PluginHost(
            Surroundings(self.lightning_dir, self.rpc_file, self.family.version, self.features),
            self.log,
        )
        self.on_log: Callable[[str], None] = lambda _line: None

    @property
    def features(self) -> dict[str, str]:
        """Its features as ``getinfo`` shows them: bitmaps in hex."""
        bits = {*_COMMON_BITS, *self.family.own_features, *self.spec.more_features}
        if self.spec.onion_messages:
            bits.add(_ONION_MESSAGES_BIT)
        if self.spec.is_lnd:
            bits.add(_AMP_BIT)
        return {
            "init": _bitmap(bits),
            "node": _bitmap({*bits, _KEYSEND_BIT}),
            "channel": "",
            "invoice": _INVOICE_FEATURES,
        }

    def takes_messages(self, has_channel: bool) -> bool:
        """Whether it takes onion messages from a peer.

        :param has_channel: whether it has a channel with that peer.
        """
        spec = self.spec
        is_restricted = not _CHANNEL_PEERS_ONLY_BITS.isdisjoint(spec.more_features)
        if is_restricted or (spec.onion_messages and spec.is_lnd):
            return has_channel
        return spec.onion_messages

    @property
    def message_limit(self) -> Limit | None:
        """The onion messages that it takes from each peer; None for any number."""
        return limits.LND if self.spec.is_lnd else self.family.message_limit

    def derive_secret(self, purpose: bytes) -> bytes:
        """32 bytes that only this node can derive (``makesecret``)."""
        return hmac.digest(self.private_key.secret, purpose, "sha256")

    def invoice_path_id(self, payment_hash: bytes) -> bytes:
        """The 32-byte path_id of its invoices' paths; it refuses a payment without it."""
        return sha256(self.derive_secret(_INVOICE_BASE) + payment_hash).digest()

    def request_path_id(self, request_id: bytes) -> bytes:
        """The 32-byte path_id of an invoice_request's paths.

        :param request_id: 32 bytes, computed without the paths.
        """
        return sha256(self.derive_secret(_REQUEST_BASE) + request_id).digest()

    def log(self, line: str) -> None:
        """Log what happened."""
        self.on_log(line)


def _bitmap(bits: Iterable[int]) -> str:
    """A big-endian bitmap without leading zero bytes, in hex (BOLT 9)."""
    number = sum(1 << bit for bit in bits)
    return number.to_bytes((number.bit_length() + 7) // 8, "big").hex()
