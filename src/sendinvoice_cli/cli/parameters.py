"""The parsed command line, and what it stands for: a request, a client, a progress display."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from ..errors import UsageError
from ..node.rpc import socket_path
from ..render import lines
from ..request import DEFAULT_TIMEOUT, Request

if TYPE_CHECKING:
    from ..node.rpc.client import Client
    from ..render.progress import PlainProgress, TerminalProgress
    from ..render.streams import Streams

#: Most bytes that we read from stdin: one more than the longest string that we accept.
_MAX_STDIN = 64 * 1024 + 1


class Parameters(NamedTuple):
    """The command line as click parsed it; the fields have click's names."""

    invreq: str | None
    label: str | None
    amount_msat: int | None
    amount_msat_option: int | None
    timeout: int | None
    timeout_option: int | None
    quantity: int | None
    quantity_option: int | None
    dry_run: bool
    renew: bool
    no_connect: bool
    no_replies: bool
    lightning_dir: str | None
    network: str | None
    mainnet: bool
    testnet: bool
    testnet4: bool
    signet: bool
    regtest: bool
    rpc_file: str | None
    batch: str | None
    output: str | None
    as_json: bool
    verbose: bool
    quiet: bool
    color: str

    def request(self, streams: Streams) -> Request:
        """What the user asks for; with --batch, the defaults for each row.

        :raises UsageError: a value is given as an argument and as an option, or stdin is closed.
        """
        return Request(
            invreq=_read_invreq(streams, self.invreq),
            label=self.label or "",
            amount_msat=_once("amount_msat", self.amount_msat, self.amount_msat_option),
            timeout=_once("timeout", self.timeout, self.timeout_option) or DEFAULT_TIMEOUT,
            quantity=_once("quantity", self.quantity, self.quantity_option),
            dry_run=self.dry_run,
            renew=self.renew,
            no_connect=self.no_connect,
            no_replies=self.no_replies,
            # The third word may be meant as a TIMEOUT.
            must_match=self.amount_msat is not None,
        )

    def client(self, streams: Streams) -> Client:
        """A client for the lightningd that the options name.

        :raises UsageError: the network is unknown, or a configuration file cannot be read.
        """
        rpc_file = socket_path.find(self.lightning_dir, self._named_network(), self.rpc_file)

        from ..node.rpc.client import Client

        return Client(rpc_file, partial(_print_call, streams) if self.verbose else None)

    def _named_network(self) -> str | None:
        given = [name for name in (*socket_path.SHORT_NETWORKS, "network") if getattr(self, name)]
        given = [name for name in given if not is_by_environment(name)] or given
        named = {socket_path.SHORT_NETWORKS.get(name) or self.network for name in given}
        if len(named) > 1:
            names = ", ".join(sorted(map(str, named)))
            raise UsageError(f"more than one network is given: {names}")
        network = next(iter(named), None)
        if network is not None and network not in socket_path.NETWORKS:
            raise UsageError(
                f"{network!r} is not a network", hint=f"one of {', '.join(socket_path.NETWORKS)}"
            )
        return network

    def progress(self, streams: Streams) -> PlainProgress | TerminalProgress:
        """The progress display for a single request."""
        from ..render.progress import PlainProgress, TerminalProgress

        for_people = not (self.as_json or self.quiet)
        if for_people and streams.stderr.isatty():
            return TerminalProgress(streams)
        log = lines.Log(streams, verbose=self.verbose, quiet=self.quiet)
        return PlainProgress(log, wants_route=self.verbose or for_people)


def _once(name: str, by_position: int | None, by_name: int | None) -> int | None:
    """The value of a parameter that has an argument and an option.

    :raises UsageError: both are given.
    """
    if by_position is not None and by_name is not None and not is_by_environment(f"{name}_option"):
        option = name.replace("_", "-")
        raise UsageError(f"{name.upper()} and --{option} are the same; give one of them")
    return by_position if by_position is not None else by_name


def is_by_environment(name: str) -> bool:
    """Whether a parameter's value comes from an environment variable."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.ENVIRONMENT


def _read_invreq(streams: Streams, argument: str | None) -> str:
    if argument != "-":
        return argument or ""
    return streams.stdin.buffer.read(_MAX_STDIN).decode("utf-8", "replace")


def _print_call(streams: Streams, method: str, seconds: float, failure: str | None) -> None:
    end = f" failed: {failure}" if failure else ""
    lines.print_line(streams, f"call {method} ({seconds * 1000:.1f} ms){end}")
