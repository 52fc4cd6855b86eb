"""The command: turns argv into a request, and an outcome into an exit."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NoReturn

import click

from .. import signals, threads
from ..errors import ExitStatus, LightningdError, SendInvoiceError, UnreachableError, UsageError
from ..render import lines
from ..render.streams import Streams, silence
from .help import WIDTH, Command
from .options import PARAMETERS

if TYPE_CHECKING:
    from ..outcome import Outcome
    from ..render.progress import PlainProgress, TerminalProgress
    from .parameters import Parameters

    #: Answers a single request, as blocking_host.send() does.
    Sender = Callable[..., Outcome]
    #: Answers many requests, as batch.run() does.
    BatchRunner = Callable[..., ExitStatus]

_HELP_HINT = "sendinvoice --help shows how"
#: A shell that completes a command line sets it.
_COMPLETE = "_SENDINVOICE_COMPLETE"


command = Command(
    name="sendinvoice",
    params=list(PARAMETERS),
    help="""Answer a BOLT 12 invoice_request with an invoice, and wait until it is paid.

    An invoice_request (lnr1...) is money that somebody offers you: a refund, a
    withdrawal, a payout. Your own Core Lightning node makes the invoice and sends
    it to the payer.

    Running the same command again never makes a second invoice: it continues
    with the first one.
    """,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SENDINVOICE",
        "max_content_width": WIDTH,
    },
)


def _parse(args: list[str], streams: Streams) -> click.Context:
    """Parse the command line; --help and --version are printed, and end the command.

    :raises SendInvoiceError: they cannot be written.
    """
    try:
        return command.make_context("sendinvoice", args)
    except OSError as failure:
        silence(streams.stdout)
        raise SendInvoiceError(f"cannot write to standard output: {failure.strerror}") from None


def _run(
    parameters: Parameters,
    streams: Streams,
    sender: Sender | None,
    run_batch: BatchRunner | None,
) -> ExitStatus:
    from .parameters import is_by_environment

    if parameters.color != "auto":
        streams.color = parameters.color == "always"
    # A request on the command line wins over SENDINVOICE_BATCH.
    if parameters.batch is not None and not (parameters.invreq and is_by_environment("batch")):
        return _answer_many(parameters, streams, parameters.batch, run_batch)
    if parameters.output is not None and not is_by_environment("output"):
        raise UsageError("--output is for a batch", hint="--json prints the result of one request")
    return _answer_one(parameters, streams, sender)


def _answer_one(parameters: Parameters, streams: Streams, sender: Sender | None) -> ExitStatus:
    request = parameters.request(streams)
    client = parameters.client(streams)
    if sender is None:
        from ..answering import blocking_host

        sender = blocking_host.send
    progress = parameters.progress(streams)
    _enable_garbage_collection()
    try:
        outcome = sender(request, client, progress, settled=signals.finish)
    finally:
        client.close()
        progress.close()
    if not isinstance(outcome.error, UsageError):
        _print_result(parameters, streams, outcome, progress)
    if outcome.error is not None:
        lines.print_error(streams, outcome.error.message, outcome.error.hint)
    return outcome.exit_status


def _print_result(
    parameters: Parameters,
    streams: Streams,
    outcome: Outcome,
    progress: PlainProgress | TerminalProgress,
) -> None:
    """Print a result; a write failure does not change the exit status."""
    result = outcome.as_json()
    try:
        if parameters.as_json:
            from ..render.json_lines import write_json

            write_json(result, streams.stdout)
        elif not parameters.quiet:
            from ..render.table import print_result

            print_result(
                streams,
                result,
                route=progress.route,
                with_bolt12=parameters.verbose,
                is_offer_shown=progress.is_on_screen and streams.stdout.isatty(),
            )
        streams.stdout.flush()
    except OSError as failure:
        lines.print_error(streams, f"cannot write the result: {failure.strerror}")
        silence(streams.stdout)


def _answer_many(
    parameters: Parameters,
    streams: Streams,
    path: str,
    run_batch: BatchRunner | None,
) -> ExitStatus:
    names = ("invreq", "label", "amount_msat", "timeout", "quantity")
    if any(getattr(parameters, name) is not None for name in names):
        raise UsageError(
            "with --batch, requests come from the file",
            hint="leave INVREQ and what follows it out, or --batch",
        )
    defaults = parameters.defaults()
    client = parameters.client(streams)

    from ..batch import batch, file, rows
    from ..render.batch import BatchReport
    from ..render.spool import Spool, spooled_stderr
    from . import files

    run_batch = run_batch or batch.run
    with ExitStack() as opened:
        source = files.open_batch(streams, path, opened, lines.Log(streams, quiet=parameters.quiet))
        output = None
        if parameters.output is not None:
            output = opened.enter_context(files.open_output(parameters.output, source))
        opened.enter_context(spooled_stderr(streams))
        report = BatchReport(
            streams,
            as_json=parameters.as_json,
            verbose=parameters.verbose,
            quiet=parameters.quiet,
            dry_run=parameters.dry_run,
            output=output,
        )
        spool = Spool(report)
        _enable_garbage_collection()
        try:
            status = run_batch(
                rows.read(file.read_pieces(source), defaults),
                client,
                spool,
                patience=defaults.timeout,
            )
        except (UnreachableError, LightningdError) as error:
            if parameters.as_json or output is not None:
                with suppress(UsageError):
                    for row in rows.read(file.read_pieces(source, waits=False), defaults):
                        spool.result(rows.unanswered(row, row.error or error, time.time()))
            raise
        finally:
            # Only writing is left, and it may block for ever: a signal ends it at once.
            signals.restore_defaults()
            client.close()
            spool.close()
    # All else is written by now, so that it stands in its place.
    report.summarize()
    return status


def _enable_garbage_collection() -> None:
    """Collect garbage from now on, but never search what was imported."""
    gc.freeze()
    gc.enable()


def run(
    args: list[str] | None = None,
    *,
    streams: Streams | None = None,
    sender: Sender | None = None,
    run_batch: BatchRunner | None = None,
) -> int:
    """Run the command and return its exit status.

    :param streams: by default those of the process.
    :param sender: answers a single request, by default blocking_host.send().
    :param run_batch: answers many, by default batch.run().
    """
    if _COMPLETE in os.environ:
        # click prints completions and exits.
        command.main(prog_name="sendinvoice")
    streams = streams or Streams.of_process()
    signals.interrupt()
    try:
        with _parse(sys.argv[1:] if args is None else args, streams) as context:
            from .parameters import Parameters

            return _run(Parameters(**context.params), streams, sender, run_batch)
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
    except signals.Interruption as interruption:
        # Nothing was created yet.
        lines.print_error(streams, interruption.error.message)
        return interruption.error.exit_status


def main() -> NoReturn:
    """The entry point."""
    streams = Streams.of_process()
    status = run(streams=streams)
    signals.ignore()
    if not threads.join_all():
        # One is stuck. Python would tear it down when it wakes up, wherever it is.
        with suppress(OSError):
            streams.stdout.flush()
        os._exit(status)
    # Without this, Python searches all modules for garbage at exit: a tenth of the time.
    gc.freeze()
    sys.exit(status)
