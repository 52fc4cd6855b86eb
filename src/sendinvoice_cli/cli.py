"""The command: turns argv into a request, and an outcome into an exit."""

from __future__ import annotations

import gc
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import click

from . import __version__, signals
from .errors import ExitStatus, SendInvoiceError, UsageError
from .help import WIDTH, Argument, Command, Group, Option
from .render import lines
from .render.streams import Streams, silence

if TYPE_CHECKING:
    from .node.client import Client
    from .outcome import Outcome
    from .parameters import Parameters
    from .reporting import Progress
    from .request import Request

    class Sender(Protocol):
        """Answers a single request, as send.send() does."""

        def __call__(
            self,
            request: Request,
            client: Client,
            progress: Progress,
            *,
            settled: Callable[[], None],
        ) -> Outcome: ...


_HELP_HINT = "sendinvoice --help shows how"

#: The same text for each, so that --help shows them in one row.
_SHORT = "Short for --network."

_argument = partial(click.argument, cls=Argument, required=False)
_option = partial(click.option, cls=Option)


def _parsed_by(
    function: str,
) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """A click callback that reads a value with a function of request.py."""

    def parse(ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
        if value is None or ctx.resilient_parsing:
            return None
        from . import request

        parsed: int = getattr(request, function)(value)
        return parsed

    return parse


_amount = _parsed_by("parse_amount")
_timeout = _parsed_by("parse_timeout")
_quantity = _parsed_by("parse_quantity")


def _complete_network(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from .node.socket_path import NETWORKS

    return [name for name in NETWORKS if name.startswith(incomplete)]


@click.command(
    name="sendinvoice",
    cls=Command,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SENDINVOICE",
        "max_content_width": WIDTH,
    },
)
@_argument(
    "invreq",
    group=Group.WHAT,
    about="The request: lnr1..., a bitcoin: URI with lnr=, or - to read it from stdin.",
)
@_argument(
    "label",
    group=Group.WHAT,
    about="The name that the invoice gets in lightningd. It must be unique.",
)
@_argument(
    "amount_msat",
    callback=_amount,
    group=Group.WHAT,
    about="What to ask for: 1000, 1000msat, 1sat or 0.00000001btc.  [default: what the request"
    " offers]",
)
@_argument(
    "timeout",
    callback=_timeout,
    group=Group.HOW,
    about="How many seconds to wait, and for how long the invoice can be paid.  [default: 90]",
)
@_argument(
    "quantity",
    callback=_quantity,
    group=Group.WHAT,
    about="How many items, when the request leaves that open.",
)
@_option(
    "--amount-msat",
    "amount_msat_option",
    group=Group.WHAT,
    callback=_amount,
    metavar="AMOUNT",
    envvar="SENDINVOICE_AMOUNT_MSAT",
    help="The same as AMOUNT_MSAT.",
)
@_option(
    "--quantity",
    "quantity_option",
    group=Group.WHAT,
    callback=_quantity,
    metavar="NUMBER",
    envvar="SENDINVOICE_QUANTITY",
    help="The same as QUANTITY.",
)
@_option(
    "--timeout",
    "timeout_option",
    group=Group.HOW,
    callback=_timeout,
    metavar="SECONDS",
    envvar="SENDINVOICE_TIMEOUT",
    help="The same as TIMEOUT.",
)
@_option(
    "--dry-run",
    group=Group.HOW,
    is_flag=True,
    help="Check everything, and show what would be sent along which path. Changes nothing.",
)
@_option(
    "--renew",
    group=Group.HOW,
    is_flag=True,
    help="If LABEL's invoice for this request has expired unpaid, replace it with a new one.",
)
@_option(
    "--no-connect",
    group=Group.HOW,
    is_flag=True,
    help="Never open a connection to another node.",
)
@_option(
    "--no-replies",
    group=Group.HOW,
    is_flag=True,
    help="Do not start the reply helper in lightningd. A refusal then looks like a timeout.",
)
@_option(
    "--lightning-dir",
    group=Group.NODE,
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="lightningd's directory.  [default: ~/.lightning]",
)
@_option(
    "--network",
    group=Group.NODE,
    metavar="NAME",
    shell_complete=_complete_network,
    help="lightningd's network.  [default: bitcoin]",
)
@_option("--mainnet", group=Group.NODE, is_flag=True, help=_SHORT)
@_option("--testnet", group=Group.NODE, is_flag=True, help=_SHORT)
@_option("--testnet4", group=Group.NODE, is_flag=True, help=_SHORT)
@_option("--signet", group=Group.NODE, is_flag=True, help=_SHORT)
@_option("--regtest", group=Group.NODE, is_flag=True, help=_SHORT)
@_option(
    "--rpc-file",
    group=Group.NODE,
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="lightningd's socket. An absolute path is used as it is.  [default: lightning-rpc]",
)
@_option(
    "--batch",
    group=Group.BATCH,
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Answer many requests: JSON Lines, or CSV with a header (invreq, label, amount_msat,"
    " timeout, quantity). - is stdin.",
)
@_option(
    "--output",
    group=Group.BATCH,
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Append each result of the batch to FILE, as JSON.",
)
@_option(
    "--json",
    "as_json",
    group=Group.OUTPUT,
    is_flag=True,
    envvar="SENDINVOICE_JSON",
    help="Print one JSON object for each request.",
)
@_option(
    "-v",
    "--verbose",
    group=Group.OUTPUT,
    is_flag=True,
    help="Show each step, and each call to lightningd.",
)
@_option("-q", "--quiet", group=Group.OUTPUT, is_flag=True, help="Show errors only.")
@_option(
    "--color",
    group=Group.OUTPUT,
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="When to use colour.",
)
@click.version_option(
    __version__,
    cls=Option,
    group=Group.OUTPUT,
    prog_name="sendinvoice",
    message="%(prog)s %(version)s",
)
def command(**params: Any) -> ExitStatus:
    """Answer a BOLT 12 invoice_request with an invoice, and wait until it is paid.

    An invoice_request (lnr1...) is money that somebody offers you: a refund, a
    withdrawal, a payout. Your own Core Lightning node makes the invoice and sends
    it to the payer.

    Running the same command again never makes a second invoice: it continues
    with the first one.
    """
    from .parameters import Parameters

    streams, sender = click.get_current_context().obj
    return _run(Parameters(**params), streams, sender)


def _run(parameters: Parameters, streams: Streams, sender: Sender | None) -> ExitStatus:
    from .parameters import is_by_environment

    if parameters.color != "auto":
        streams.color = parameters.color == "always"
    request = parameters.request(streams)
    # A request on the command line wins over SENDINVOICE_BATCH.
    if parameters.batch is not None and not (parameters.invreq and is_by_environment("batch")):
        return _run_batch(parameters, streams, parameters.batch, request)
    if parameters.output is not None and not is_by_environment("output"):
        raise UsageError("--output needs --batch")
    for name in ("invreq", "label"):
        if getattr(parameters, name) is None:
            raise UsageError(f"{name.upper()} is missing", hint=_HELP_HINT)
    return _run_single(parameters, streams, request, sender)


def _run_single(
    parameters: Parameters, streams: Streams, request: Request, sender: Sender | None
) -> ExitStatus:
    client = parameters.client(streams)
    if sender is None:
        from . import send

        sender = send.send
    progress = parameters.progress(streams)
    _collect_garbage()
    try:
        outcome = sender(request, client, progress, settled=signals.finish)
    finally:
        progress.close()
    result = outcome.as_json()
    with _writing(streams):
        if parameters.as_json:
            from .render.json_lines import write_json

            write_json(result, streams.stdout)
        elif not parameters.quiet:
            from .render.table import print_result

            print_result(streams, result, progress.route)
    if outcome.error is not None:
        lines.print_error(streams, outcome.error.message, outcome.error.hint)
    return outcome.exit_status


def _run_batch(
    parameters: Parameters, streams: Streams, path: str, defaults: Request
) -> ExitStatus:
    if any(
        value is not None
        for value in (
            *(parameters.invreq, parameters.label, parameters.amount_msat),
            *(parameters.timeout, parameters.quantity),
        )
    ):
        raise UsageError("with --batch, requests come from the file")
    client = parameters.client(streams)

    from . import batch, rows
    from .render.batch import BatchReport, open_output
    from .render.spool import Spool

    with ExitStack() as files:
        try:
            source = _open_batch(streams, path, files)
            output = (
                files.enter_context(open_output(parameters.output)) if parameters.output else None
            )
        except OSError as failure:
            raise UsageError(f"cannot open {failure.filename}: {failure.strerror}") from None
        if output is not None and _is_same_file(source, output.fileno()):
            raise UsageError("--output names the file of the batch itself")
        report = Spool(
            BatchReport(
                streams,
                as_json=parameters.as_json,
                verbose=parameters.verbose,
                quiet=parameters.quiet,
                output=output,
            )
        )
        has_ended = False
        _collect_garbage()
        try:
            status = batch.run(rows.read(rows.lines_of(source), defaults), client, report)
            has_ended = True
        finally:
            # Only writing is left, and it may block for ever: a signal ends it at once.
            signals.end_process()
            report.close(summary=has_ended)
    return status


def _collect_garbage() -> None:
    """Collect garbage from now on, but never search what was imported."""
    gc.freeze()
    gc.enable()


def _is_same_file(one: int, other: int) -> bool:
    """Whether two descriptors are of one regular file: reading it would never end."""
    status = os.fstat(one)
    return stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.fstat(other))


def _open_batch(streams: Streams, path: str, files: ExitStack) -> int:
    """A descriptor of the file; - is stdin.

    :raises OSError: it cannot be opened.
    """
    if path == "-":
        return streams.stdin.fileno()
    source = os.open(path, os.O_RDONLY)
    files.callback(os.close, source)
    return source


@contextmanager
def _writing(streams: Streams) -> Iterator[None]:
    """Write a result; a write failure does not change the exit status."""
    try:
        yield
        streams.stdout.flush()
    except OSError as failure:
        lines.print_error(streams, f"cannot write the result: {failure.strerror}")
        silence(streams.stdout)


def run(
    args: list[str] | None = None,
    *,
    streams: Streams | None = None,
    sender: Sender | None = None,
) -> int:
    """Run the command and return its exit status.

    :param streams: by default those of the process.
    :param sender: answers a single request, by default send.send().
    """
    streams = streams or Streams.of_process()
    signals.interrupt()
    try:
        status = command.main(
            args=args, prog_name="sendinvoice", standalone_mode=False, obj=(streams, sender)
        )
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.UsageError as error:
        lines.print_error(streams, error.format_message(), hint=_HELP_HINT)
        return ExitStatus.USAGE
    except click.ClickException as error:
        error.show(streams.stderr)
        return error.exit_code
    except SendInvoiceError as error:
        lines.print_error(streams, error.message, error.hint)
        return error.exit_status
    except click.Abort:
        return ExitStatus.INTERRUPTED
    return ExitStatus(status or 0)


def main() -> NoReturn:
    """The entry point."""
    status = run()
    signals.ignore()
    # Otherwise Python searches all modules for garbage before it ends: a tenth of the time.
    gc.freeze()
    sys.exit(status)
