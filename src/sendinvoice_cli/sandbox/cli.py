"""The command ``sendinvoice-sandbox``: a sandbox for a person to try ``sendinvoice`` in."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click

from .. import __version__
from .behaviour import Behaviour
from .known_ends import End, KnownEnds
from .model.family import Family
from .model.node import NETWORK
from .model.topology import line
from .sandbox import Sandbox, lightning_options

_ROLES = {"alice": "pays", "bob": "forwards", "carol": "is paid"}
_DEFAULT_AMOUNT_MSAT = 50_000_000
_MOST_MSAT = 400_000_000
_NOTICE = "This is simulated money on a simulated network: nothing here is worth anything."
_FILE_WIDTH = max(len(end.file) for end in End)
#: A shell adds this to the number of the signal that ended a process.
_SIGNAL_BASE = 128


def _sandbox_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that the group and its subcommand share."""
    for option in (
        click.option(
            "--amount",
            "amount_msat",
            type=click.IntRange(1, _MOST_MSAT),
            default=_DEFAULT_AMOUNT_MSAT,
            show_default=True,
            metavar="MSAT",
            help="The amount of the request, in msat.",
        ),
        click.option(
            "--family",
            type=click.Choice([family.value for family in Family]),
            default=Family.V26_06.value,
            show_default=True,
            help="The lightningd version that the nodes act as.",
        ),
        click.option(
            "--dir",
            "directory",
            type=click.Path(file_okay=False, path_type=Path),
            help="The directory for the nodes' directories.  [default: a temporary one]",
        ),
    ):
        command = option(command)
    return command


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@_sandbox_options
@click.version_option(__version__, prog_name="sendinvoice-sandbox")
@click.pass_context
def main(context: click.Context, directory: Path | None, family: str, amount_msat: int) -> None:
    """Start a simulated Lightning network to try sendinvoice in.

    It runs three nodes: alice pays, bob forwards, and carol is paid. Each
    answers lightningd's JSON-RPC on a unix socket until you press Ctrl-C. The
    money is simulated, too. Requests whose end is known beforehand are there
    to try scripts with.
    """
    if context.invoked_subcommand is not None:
        # Options may stand on either side of the subcommand's name.
        context.default_map = {context.invoked_subcommand: context.params}
        return
    ends = KnownEnds()
    with _nodes_up(directory, family, ends) as sandbox:
        with _usable(sandbox.directory):
            ends.write(sandbox, amount_msat)
        click.echo("\nRequests, and how sendinvoice ends with each:\n")
        click.echo(f"  {'file':{_FILE_WIDTH}}  exit")
        for end in End:
            click.echo(f"  {end.file:{_FILE_WIDTH}}  {end.status:4}  {end.meaning}")
        click.echo("\nAnswer them as carol, each with a label of its own:\n")
        click.echo(f"cd {shlex.quote(str(sandbox.directory))}")
        click.echo(f'export SENDINVOICE_LIGHTNING_DIR="$PWD/carol" SENDINVOICE_NETWORK={NETWORK}')
        click.echo(f"sendinvoice - LABEL < {End.PAID.file}\n")
        click.echo("Press Ctrl-C to end the sandbox.")
        _wait_for_end()
    click.echo("\nThe sandbox has ended.")


@main.command()
@_sandbox_options
@click.pass_context
def demo(context: click.Context, directory: Path | None, family: str, amount_msat: int) -> None:
    """Run sendinvoice once, so that alice pays carol.

    The exit status is that of sendinvoice.
    """
    with _nodes_up(directory, family) as sandbox:
        request = sandbox.request("alice", amount_msat, "a payout from the sandbox")
        arguments = [*lightning_options(sandbox, "carol"), request, "demo"]
        click.echo(f"\n$ {shlex.join(['sendinvoice', *arguments])}\n")
        sys.stdout.flush()
        status = subprocess.run(
            [sys.executable, "-m", "sendinvoice_cli", *arguments], check=False
        ).returncode
    context.exit(_SIGNAL_BASE - status if status < 0 else status)


@contextmanager
def _nodes_up(
    directory: Path | None, family: str, behaviour: Behaviour | None = None
) -> Iterator[Sandbox]:
    """Start a sandbox and print its nodes; stop it at the end.

    :raises click.ClickException: the directory cannot be used.
    """
    directory = directory and directory.absolute()
    sandbox = Sandbox(line(family=Family(family)), directory=directory, behaviour=behaviour)
    if any(_is_in_use(sandbox.rpc_file(name)) for name in _ROLES):
        raise click.ClickException(f"another sandbox runs in {directory}")
    with _usable(sandbox.directory):
        sandbox.start()
    try:
        click.echo(_NOTICE)
        click.echo(f"\nThree nodes, as lightningd {Family(family).version}:\n")
        for name, role in _ROLES.items():
            click.echo(f"  {name:5}  {role:8}  {sandbox.rpc_file(name)}")
        yield sandbox
    finally:
        sandbox.stop()


def _is_in_use(path: Path) -> bool:
    """Whether somebody listens on a socket."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        # It may not exist, or be too long.
        probe.connect(str(path))
        return True
    return False


@contextmanager
def _usable(directory: Path) -> Iterator[None]:
    """Turn an OSError into one line.

    :raises click.ClickException: it was raised inside.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(f"cannot use {directory}: {reason}") from None


def _wait_for_end() -> None:
    """Return at SIGINT or SIGTERM."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    ended.wait()
