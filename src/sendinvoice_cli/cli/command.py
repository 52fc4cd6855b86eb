"""The command: turns argv into a request, and an outcome into an exit."""

from __future__ import annotations

import gc
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .. import signals, threads
from ..errors import ExitStatus, SendInvoiceError, UsageError
from ..render import lines
from ..render.streams import Streams, silence
from .help import WIDTH, Command
from .options import add_options

if TYPE_CHECKING:
    from ..outcome import Outcome
    from ..request import Request
    from .parameters import Parameters

    #: Answers a single request, as send.send() does.
    Sender = Callable[..., Outcome]
    #: Answers many requests, as batch.run() does.
    BatchRunner = Callable[..., ExitStatus]

_HELP_HINT = "sendinvoice --help shows how"


@click.command(
    name="sendinvoice",
    cls=Command,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SENDINVOICE",
        "max_content_width": WIDTH,
    },
)
@add_options
def command(**params: Any) -> ExitStatus:
    """Answer a BOLT 12 invoice_request with an invoice, and wait until it is paid.

    An invoice_request (lnr1...) is money that somebody offers you: a refund, a
    withdrawal, a payout. Your own Core Lightning node makes the invoice and sends
    it to the payer.

    Running the same command again never makes a second invoice: it continues
    with the first one.
    """
    from .parameters import Parameters

    return _run(Parameters(**params), *click.get_current_context().obj)


def _run(
    parameters: Parameters,
    streams: Streams,
    sender: Sender | None,
    run_batch: BatchRunner | None,
) -> ExitStatus:
    from .parameters import is_by_environment

    if parameters.color != "auto":
        streams.color = parameters.color == "always"
    request = parameters.request(streams)
    # A request on the command line wins over SENDINVOICE_BATCH.
    if parameters.batch is not None and not (parameters.invreq and is_by_environment("batch")):
        return _answer_many(parameters, streams, parameters.batch, request, run_batch)
    if parameters.output is not None and not is_by_environment("output"):
        raise UsageError("--output needs --batch")
    for name in ("invreq", "label"):
        if getattr(parameters, name) is None:
            raise UsageError(f"{name.upper()} is missing", hint=_HELP_HINT)
    return _answer_one(parameters, streams, request, sender)


def _answer_one(
    parameters: Parameters, streams: Streams, request: Request, sender: Sender | None
) -> ExitStatus:
    client = parameters.client(streams)
    if sender is None:
        from ..answering import send

        sender = send.send
    progress = parameters.progress(streams)
    _collect_garbage()
    try:
        outcome = sender(request, client, progress, settled=signals.finish)
    finally:
        client.close()
        progress.close()
    result = outcome.as_json()
    with _writing(streams):
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
    if outcome.error is not None:
        lines.print_error(streams, outcome.error.message, outcome.error.hint)
    return outcome.exit_status


def _answer_many(
    parameters: Parameters,
    streams: Streams,
    path: str,
    defaults: Request,
    run_batch: BatchRunner | None,
) -> ExitStatus:
    names = ("invreq", "label", "amount_msat", "timeout", "quantity")
    if any(getattr(parameters, name) is not None for name in names):
        raise UsageError("with --batch, requests come from the file")
    client = parameters.client(streams)

    from ..batch import batch, file, rows
    from ..render.batch import BatchReport, open_output
    from ..render.spool import Spool, spooled_stderr

    run_batch = run_batch or batch.run
    with ExitStack() as files:
        try:
            source = _open_batch(streams, path, files)
            output = (
                files.enter_context(open_output(parameters.output)) if parameters.output else None
            )
        except OSError as failure:
            raise UsageError(f"cannot open {failure.filename}: {failure.strerror}") from None
        if output is not None and _is_same_file(source, output.fileno()):
            raise UsageError("--output and --batch name the same file")
        files.enter_context(spooled_stderr(streams))
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
            status = run_batch(rows.read(file.read_pieces(source), defaults), client, report)
            has_ended = True
        finally:
            # Only writing is left, and it may block for ever: a signal ends it at once.
            signals.end_process()
            client.close()
            report.close(summary=has_ended)
    return status


def _collect_garbage() -> None:
    """Collect garbage from now on, but never search what was imported."""
    gc.freeze()
    gc.enable()


def _is_same_file(one: int, other: int) -> bool:
    """Whether two descriptors are of one regular file: a batch would read its own results."""
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
    run_batch: BatchRunner | None = None,
) -> int:
    """Run the command and return its exit status.

    :param streams: by default those of the process.
    :param sender: answers a single request, by default send.send().
    :param run_batch: answers many, by default batch.run().
    """
    streams = streams or Streams.of_process()
    signals.interrupt()
    try:
        status = command.main(
            args=args,
            prog_name="sendinvoice",
            standalone_mode=False,
            obj=(streams, sender, run_batch),
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
    except signals.Interruption as interruption:
        # Nothing was created yet.
        lines.print_error(streams, interruption.error.message)
        return interruption.error.exit_status
    return ExitStatus(status or 0)


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
