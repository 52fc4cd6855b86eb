"""Payments that stay in flight for as long as a test wants, on any network."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from . import Network, Node, hold_plugin
from .faults import Hold
from .simulated import SimulatedNetwork


class HeldPayments(Protocol):
    """Payments from the payer to the receiver that are held."""

    def is_any(self) -> bool:
        """Whether there is one."""

    def release(self) -> None:
        """Let them go on, and those to come."""


class _Simulated:
    def __init__(self, network: SimulatedNetwork, hold: Hold) -> None:
        self._network = network
        self._hold = hold

    def is_any(self) -> bool:
        return bool(self._network.sandbox.call("payer", "listpays", status="pending")["pays"])

    def release(self) -> None:
        self._hold.release()


class _Real:
    def __init__(self, receiver: Node) -> None:
        self._receiver = receiver

    def is_any(self) -> bool:
        return bool(self._receiver.rpc(hold_plugin.HELD)["payments"])

    def release(self) -> None:
        self._receiver.rpc(hold_plugin.RELEASE)


@contextmanager
def held(network: Network) -> Iterator[HeldPayments]:
    """Inside of it, payments stay in flight until they are released; behind it, they are."""
    if isinstance(network, SimulatedNetwork):
        hold = network.sandbox.faults.hold_payments("payer")
        try:
            yield _Simulated(network, hold)
        finally:
            hold.release()
            network.sandbox.faults.behave("payer")
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "hold"
        source = Path(hold_plugin.__file__).read_text(encoding="utf-8")
        path.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
        path.chmod(0o755)
        network.receiver.rpc("plugin", subcommand="start", plugin=str(path))
        try:
            network.receiver.rpc(hold_plugin.HOLD)
            yield _Real(network.receiver)
        finally:
            network.receiver.rpc(hold_plugin.RELEASE)
            network.receiver.rpc("plugin", subcommand="stop", plugin=str(path))
