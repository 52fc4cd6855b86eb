"""Watching commands that run, and what the payer spent on them."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from sendinvoice_cli.outcome import Offered

from . import Network


def read_until(process: Popen[str], pattern: re.Pattern[str]) -> str:
    """Read what a command writes to stderr, until a line has ``pattern`` in it.

    :returns: that line.
    :raises EOFError: it has ended without such a line.
    """
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if pattern.search(line):
            return line
    raise EOFError(f"no {pattern.pattern!r} in {said}")


def paid_msat(network: Network, invreq: str) -> list[int]:
    """What the payer has paid for an invoice_request, or is about to: each payment, in msat.

    A payment counts that has not failed, of invoices that the receiver has made.
    """
    metadata = _metadata(network, invreq)
    return [
        pay["amount_msat"]
        for pay in network.payer.rpc("listpays")["pays"]
        if pay["status"] != "failed" and _metadata(network, pay["bolt12"]) == metadata
    ]


def _metadata(network: Network, bolt12: str) -> str:
    decoded: str = network.payer.rpc("decode", string=bolt12)["invreq_metadata"]
    return decoded


def catches(process: Popen[str], number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    assert caught is not None
    return bool(int(caught[1], 16) >> (number - 1) & 1)


@dataclass(eq=False)
class Told:
    """What a command told its user."""

    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: The warnings that -q does not hide.
    must_see: list[str] = field(default_factory=list)
    wants_route: bool = True

    def offered(self, offered: Offered, amount_msat: int) -> None:
        """Not of interest here."""

    def step(self, text: str) -> None:
        """Something was done."""
        self.steps.append(text)

    def routed(self, names: list[str]) -> None:
        """A copy was sent."""
        self.steps.append(" → ".join(names))

    def awaiting_payment(self, until: float) -> None:
        """Not of interest here."""

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Something is not as it should be."""
        warning = f"{text} ({hint})" if hint else text
        self.warnings.append(warning)
        if even_if_quiet:
            self.must_see.append(warning)


def full_pipe() -> tuple[int, int]:
    """A pipe that takes no more: where to read, and where to write."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    return reader, writer
