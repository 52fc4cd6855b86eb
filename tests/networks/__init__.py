"""Networks to test on: a payer, a router between, a receiver, and a hermit.

    payer ─── router ─── receiver          hermit

The command runs as the receiver. The hermit is announced with its address, but
no path leads to it: whoever wants it has to connect.

A backend makes such a network, real or simulated, as a :class:`Network`; what
does not depend on the backend is done here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pyln.client.lightning import UnixDomainSocketRpc

from sendinvoice_cli.batch.formats import COLUMNS

CHAIN = "regtest"

#: What the command writes, with -v, when lightningd has sent a message for it.
SENT = re.compile(r"call (injectonionmessage|sendonionmessage) \([0-9.]+ ms\)$", re.MULTILINE)

#: Seconds within which something counts as done at once: one, on a machine with nothing else to do.
PROMPT_SECONDS = 4

#: Seconds after which a test counts as hanging, on a machine however busy. It measures nothing.
HANG_SECONDS = 600

#: Seconds from one look at a condition to the next.
_POLL_SECONDS = 0.05


def wait_for(
    condition: Callable[[], object],
    what: str,
    seconds: float = HANG_SECONDS,
    poll_seconds: float = _POLL_SECONDS,
) -> None:
    """Return once ``condition`` holds; it is looked at every ``poll_seconds``.

    :raises TimeoutError: it does not for so many seconds; names ``what``.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(poll_seconds)


@dataclass(frozen=True)
class Node:
    """One lightningd.

    :param id: node id in hex.
    """

    role: str
    lightning_dir: Path
    id: str

    @property
    def rpc_file(self) -> Path:
        """Its socket."""
        return self.lightning_dir / CHAIN / "lightning-rpc"

    def rpc(self, method: str, **params: Any) -> dict[str, Any]:
        """Make one call.

        :raises pyln.client.RpcError: lightningd answered with an error.
        """
        answer = UnixDomainSocketRpc(str(self.rpc_file)).call(method, params)
        assert isinstance(answer, dict)
        return answer

    def invoice(self, label: str) -> dict[str, Any] | None:
        """The invoice with this label, None when there is none."""
        invoices = self.rpc("listinvoices", label=label)["invoices"]
        return invoices[0] if invoices else None

    def peers(self) -> list[str]:
        """Ids of the peers that it is connected to."""
        return [peer["id"] for peer in self.rpc("listpeers")["peers"] if peer["connected"]]

    def plugins(self, name: str) -> list[str]:
        """Paths of the active plugins whose file is called ``name``."""
        listed = self.rpc("plugin", subcommand="list")["plugins"]
        return [each["name"] for each in listed if Path(each["name"]).name == name]


@dataclass(frozen=True)
class Result:
    """How a run of the command ended.

    :param seconds: it took.
    """

    exit: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout; that of a batch without its place in it."""
        lines = self.stdout.splitlines()
        assert len(lines) == 1, f"{len(lines)} lines on stdout: {self}"
        loaded = json.loads(lines[0])
        assert isinstance(loaded, dict)
        if "row" in loaded:
            assert (loaded.pop("row"), loaded.pop("line")) == (1, 1)
        return loaded


class Mailbox(Protocol):
    """What a hushed payer got."""

    def invoices(self) -> list[bytes]:
        """The TLV streams of the invoices that arrived so far, the first one first."""


@dataclass(frozen=True)
class Network(ABC):
    """A network that is up.

    :param name: what it is made of, with its version.
    :param version: of the lightningd that it is, or that it acts like: (26, 6).
    :param in_batch: commands that answer a request do so as batches of one row.
    """

    name: str
    version: tuple[int, int]
    payer: Node
    router: Node
    receiver: Node
    hermit: Node
    in_batch: bool = field(default=False, kw_only=True)

    @abstractmethod
    def hushed(self, request: str | None = None) -> AbstractContextManager[Mailbox]:
        """Inside of it, the payer gets invoices and neither pays nor answers.

        :param request: only those for this one, by default all.
        """

    @abstractmethod
    def stopped(self, node: Node) -> AbstractContextManager[None]:
        """Inside of it, this node does not run."""

    @abstractmethod
    def frozen(self, node: Node) -> AbstractContextManager[None]:
        """Inside of it, this node does nothing. Its connections stay."""

    def request(
        self, amount_msat: int, description: str = "a refund", payer: Node | None = None, **kw: Any
    ) -> str:
        """Have an invoice_request made (``invoicerequest``).

        :param payer: who is to pay, the payer by default.
        :param kw: more parameters of the call.
        :returns: ``lnr1…``.
        """
        answer = (payer or self.payer).rpc(
            "invoicerequest", amount=amount_msat, description=description, **kw
        )
        return str(answer["bolt12"])

    def run(
        self,
        *args: object,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        stdin: str | None = None,
    ) -> Result:
        """Run the command as a process of its own, as the receiver; see :func:`run`."""
        if self.in_batch:
            args, stdin = in_batch(args)
        return run(*self.as_receiver(), *args, env=env, timeout=timeout, stdin=stdin)

    def start(self, *args: object, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command like :meth:`run`, and leave it to itself."""
        return self.popen(*args, stdout=subprocess.PIPE, env=env)

    def popen(
        self, *args: object, stdout: int, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start the command.

        :param stdout: a descriptor, or subprocess.PIPE.
        """
        with tempfile.TemporaryFile("w+") as stdin:
            if self.in_batch:
                args, rows = in_batch(args)
                stdin.write(rows)
                stdin.seek(0)
            return subprocess.Popen(
                command_line(*self.as_receiver(), *args),
                env=environment(env),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
            )

    def as_receiver(self) -> tuple[object, ...]:
        """The options by which the command finds the receiver."""
        return ("--lightning-dir", self.receiver.lightning_dir, "--network", CHAIN)


def in_batch(args: tuple[object, ...]) -> tuple[tuple[object, ...], str]:
    """Have a batch of one row answer the same request.

    :param args: what a single send is given.
    :returns: what a batch is given, and the row, which it reads from stdin.
    """
    options, row, values = ["--batch", "-"], {}, iter(args)
    names = iter(COLUMNS)
    for value in values:
        if value in ("--timeout", "--amount-msat"):
            row[str(value)[2:].replace("-", "_")] = str(next(values))
        elif str(value).startswith("-"):
            options.append(str(value))
        else:
            row[next(names)] = str(value)
    return tuple(options), json.dumps(row) + "\n"


def run(
    *args: object,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
    stdin: str | None = None,
) -> Result:
    """Run the installed command as a process of its own.

    :param env: environment variables to add.
    :param timeout: seconds after which it is killed.
    :raises subprocess.TimeoutExpired: it had to be.
    """
    started = time.monotonic()
    done = subprocess.run(
        command_line(*args),
        env=environment(env),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def command_line(*args: object) -> list[str]:
    """The installed command with these arguments."""
    return [sys.executable, "-m", "sendinvoice_cli", *map(str, args)]


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of the command, and ``env``."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("SENDINVOICE_")
    }
    return {**inherited, **(env or {})}


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Result:
    """Wait for a started command to end. ``seconds`` are those of the waiting.

    :raises subprocess.TimeoutExpired: it did not, and was killed.
    """
    started = time.monotonic()
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    finally:
        process.kill()
        process.wait()
    return Result(process.returncode, stdout, stderr, time.monotonic() - started)
