"""The parsed command line, and what it stands for: a request, a client, a progress display."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from ..errors import UsageError
from ..node.rpc import socket_path
from ..render import lines
from ..request import (
    DEFAULT_TIMEOUT,
    Request,
    are_swapped,
    parse_amount,
    parse_quantity,
    parse_timeout,
)
from .help import QUOTES

if TYPE_CHECKING:
    from ..node.rpc.client import Client
    from ..render.progress import PlainProgress, TerminalProgress
    from ..render.streams import Streams

#: Most bytes that we read from stdin: one more than the longest string that we accept.
_MAX_STDIN = 64 * 1024 + 1

_EXAMPLE = "sendinvoice lnr1qqg... refund-4711"


class Parameters(NamedTuple):
    """The command line as click parsed it; the fields have click's names."""

    invreq: str | None
    label: str | None
    amount_msat: str | None
    amount_msat_option: str | None
    timeout: str | None
    timeout_option: str | None
    quantity: str | None
    quantity_option: str | None
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
    conf: str | None
    batch: str | None
    output: str | None
    as_json: bool
    verbose: bool
    quiet: bool
    color: str

    def request(self, streams: "Streams") -> Request:
        """What the user asks for.

        :raises UsageError: INVREQ or LABEL is missing, both are swapped, stdin is closed, or as
            for :meth:`defaults`.
        """
        defaults = self.defaults()
        if self.invreq is None:
            raise UsageError("INVREQ is missing", hint=f"give the request: {_EXAMPLE}")
        if self.label is None:
            raise UsageError("LABEL is missing", hint=f"name the invoice: {_EXAMPLE}")
        if not self.label.strip():
            raise UsageError("LABEL is empty", hint="if it is a variable, is that set?")
        if are_swapped(self.invreq, self.label):
            raise UsageError(
                "INVREQ and LABEL are swapped", hint=f"the request comes first: {_EXAMPLE}"
            )
        invreq = _read_invreq(streams, self.invreq, lines.Log(streams, quiet=self.quiet))
        return defaults._replace(invreq=invreq, label=self.label)

    def defaults(self) -> Request:
        """What holds for every request of a batch.

        :raises UsageError: a value cannot be read, or is given as an argument and as an option.
        """
        return Request(
            invreq="",
            label="",
            amount_msat=self._value("amount_msat", parse_amount),
            timeout=self._value("timeout", parse_timeout) or DEFAULT_TIMEOUT,
            quantity=self._value("quantity", parse_quantity),
            dry_run=self.dry_run,
            renew=self.renew,
            no_connect=self.no_connect,
            no_replies=self.no_replies,
            # The third word may be meant as a TIMEOUT.
            must_match=self.amount_msat is not None,
        )

    def _value(self, name: str, parse: Callable[[str], int]) -> int | None:
        """The value of a parameter that has an argument and an option."""
        by_position: str | None = getattr(self, name)
        by_name: str | None = getattr(self, f"{name}_option")
        if by_position is None:
            return None if by_name is None else parse(by_name)
        if by_name is not None and not is_by_environment(f"{name}_option"):
            option = name.replace("_", "-")
            raise UsageError(
                f"{name.upper()} and --{option} are the same",
                hint=f"leave the word {by_position} out, or --{option}",
            )
        try:
            return parse(by_position)
        except UsageError as error:
            hint = _hint_at_word(name, by_position) or error.hint
            raise UsageError(error.message, hint=hint) from None

    def client(self, streams: "Streams") -> "Client":
        """A client for the lightningd that the options name.

        :raises UsageError: the network is unknown, or a configuration file cannot be read.
        """
        rpc_file = socket_path.find(
            self.lightning_dir, self._named_network(), self.rpc_file, self.conf
        )

        from ..node.rpc.client import Client

        return Client(rpc_file, partial(_print_call, streams) if self.verbose else None)

    def _named_network(self) -> str | None:
        given = [name for name in (*socket_path.SHORT_NETWORKS, "network") if getattr(self, name)]
        given = [name for name in given if not is_by_environment(name)] or given
        named = {socket_path.SHORT_NETWORKS.get(name) or self.network for name in given}
        if len(named) > 1:
            names = ", ".join(sorted(map(str, named)))
            raise UsageError(
                f"more than one network is given: {names}", hint="give the one of your lightningd"
            )
        network = next(iter(named), None)
        if network is not None and network not in socket_path.NETWORKS:
            raise UsageError(
                f"{network!r} is not a network", hint=f"one of {', '.join(socket_path.NETWORKS)}"
            )
        return network

    def progress(self, streams: "Streams") -> "PlainProgress | TerminalProgress":
        """The progress display for a single request."""
        from ..render.progress import PlainProgress, TerminalProgress

        for_people = not (self.as_json or self.quiet)
        if for_people and streams.stderr.isatty():
            return TerminalProgress(streams)
        log = lines.Log(streams, verbose=self.verbose, quiet=self.quiet)
        return PlainProgress(log, wants_route=self.verbose or for_people)


def _hint_at_word(name: str, text: str) -> str | None:
    """What a word may be meant as that its place does not allow; None if nothing is likely."""
    if text and not text[0].isdigit():
        return QUOTES
    if name == "amount_msat":
        with suppress(UsageError):
            parse_timeout(text)
            return f"to wait that long, give --timeout {text}"
    return None


def is_by_environment(name: str) -> bool:
    """Whether a parameter's value comes from an environment variable."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.ENVIRONMENT


def _read_invreq(streams: "Streams", argument: str, log: lines.Log) -> str:
    if argument != "-":
        return argument
    from . import files

    files.open_stdin(streams, "the request", log)
    try:
        return streams.stdin.buffer.read(_MAX_STDIN).decode("utf-8", "replace")
    except OSError as failure:
        raise UsageError(
            f"cannot read the request: {failure.strerror}", hint="check what - reads"
        ) from None


def _print_call(streams: "Streams", method: str, seconds: float, failure: str | None) -> None:
    end = f" failed: {failure}" if failure else ""
    lines.print_line(streams, f"call {method} ({seconds * 1000:.1f} ms){end}")
