"""Progress and results of a batch."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from ..amounts import format_amount, format_duration
from ..errors import ExitStatus, PayerError, SendInvoiceError
from . import lines
from .console import draw, make_console
from .json_lines import write_json
from .streams import Streams, silence
from .text import printable

if TYPE_CHECKING:
    from ..outcome import Counts, Result

#: A failure in a word or two.
_FAILURES = {
    ExitStatus.ERROR: "other error",
    ExitStatus.USAGE: "cannot be answered",
    ExitStatus.UNREACHABLE: "lightningd unreachable",
    ExitStatus.OUTCOME_UNKNOWN: "outcome unknown",
    ExitStatus.REQUEST_EXPIRED: "request expired",
    ExitStatus.NO_ROUTE: "no route",
    ExitStatus.PAYER_ERROR: "error from the payer",
    ExitStatus.TIMED_OUT: "timed out",
    ExitStatus.LABEL_TAKEN: "label taken",
    ExitStatus.INTERRUPTED: "interrupted",
    ExitStatus.TERMINATED: "interrupted",
}


class BatchReport:
    """Prints each result, shows progress, and prints a summary.

    :param as_json: print one JSON object for each row to stdout, and nothing else there.
    :param verbose: print the steps, too.
    :param quiet: print errors only.
    :param dry_run: the rows are only to show what could be sent.
    :param output: also gets each result, as a JSON line; closed at the end.
    """

    def __init__(
        self,
        streams: Streams,
        *,
        as_json: bool = False,
        verbose: bool = False,
        quiet: bool = False,
        dry_run: bool = False,
        output: IO[str] | None = None,
    ) -> None:
        #: Shows steps and warnings.
        self.log = lines.Log(streams, verbose=verbose, quiet=quiet)
        self.is_verbose = verbose
        self._streams = streams
        self._as_json = as_json
        self._quiet = quiet
        self._output = output
        #: Where writing has failed; each is reported once.
        self._unwritable: set[str] = set()
        self._counts: Counts | None = None
        self._started = time.monotonic()
        #: What the rows are to become, how many did, and their amounts together.
        self._goal = "could be sent" if dry_run else "paid"
        self._succeeded = self._amount_msat = 0
        #: The other rows, by what became of them.
        self._others: Counter[str] = Counter()
        self._has_failures = False
        self._hints: set[str] = set()
        self._stop_drawing: Callable[[], None] | None = None
        if not (as_json or quiet) and streams.stderr.isatty():
            self._start_drawing()

    def result(self, result: Result) -> None:
        """Print the result of a row."""
        values = result.as_json()
        if self._output is not None:
            output = self._output
            self._write("--output", lambda: write_json(values, output))
        error = result.outcome.error
        if error is not None:
            self._has_failures = True
            self._others[_kind(error)] += 1
        elif _success(values) == self._goal:
            self._succeeded += 1
            self._amount_msat += _amount_msat(values)
        else:
            self._others["paid already"] += 1
        if self._as_json:
            self._write("standard output", lambda: write_json(values, self._streams.stdout))
        elif not self._quiet or error is not None:
            self._print_row(values)

    def counts(self, counts: Counts) -> None:
        """Take the numbers that are shown from now on."""
        self._counts = counts

    def close(self) -> None:
        """Remove the numbers from the screen, and close the output."""
        if self._stop_drawing is not None:
            self._stop_drawing()
            self._stop_drawing = None
        if self._output is not None:
            self._write("--output", self._output.close)

    def summarize(self) -> None:
        """Print how many rows were paid, with how much, then the others by what became of them.

        Where stdout is for results only, failures get a line on stderr.
        """
        summary = list(self._summary())
        if self._as_json:
            if self._has_failures:
                lines.print_line(self._streams, "; ".join(summary))
        elif summary and not self._quiet:
            self._write("standard output", partial(self._print, "\n  ".join(summary)))

    def _write(self, where: str, write: Callable[[], None]) -> None:
        """Write a result; a write failure does not change the exit status."""
        try:
            write()
        except OSError as failure:
            if where == "standard output":
                silence(self._streams.stdout)
            if where not in self._unwritable:
                self._unwritable.add(where)
                lines.print_error(
                    self._streams, f"cannot write results to {where}: {failure.strerror}"
                )

    def _print_row(self, values: Mapping[str, Any]) -> None:
        label = printable(str(values.get("label", "?")), 100)
        head = f"row {values['row']}"
        if values["error"] is None:
            amount = format_amount(_amount_msat(values))
            line = f"{head}  {label}  {_success(values)}  {amount}"
            self._write("standard output", partial(self._print, line))
        else:
            error = values["error"]
            hint = error["hint"] if error["hint"] not in self._hints else None
            lines.print_error(
                self._streams, f"{head} (line {values['line']})  {label}: {error['message']}", hint
            )
            if hint is not None:
                # Many rows fail alike.
                self._hints.add(hint)

    def _start_drawing(self) -> None:
        from rich.text import Text

        self._stop_drawing = draw(
            self._streams,
            make_console(self._streams, stderr=True),
            lambda: Text(self._numbers(), no_wrap=True, overflow="ellipsis"),
            per_second=4,
        )

    def _numbers(self) -> str:
        counts = self._counts
        if counts is None:
            return "starting"
        seconds = max(time.monotonic() - self._started, 0.001)
        done = counts.paid + counts.failed
        total = "?" if counts.total is None else str(counts.total)
        text = (
            f"{done}/{total} done: {counts.paid} paid, {counts.failed} failed, "
            f"{counts.waiting} waiting, {done / seconds:.1f}/s"
        )
        if counts.total is not None and 0 < done < counts.total:
            text += f", {format_duration(seconds / done * (counts.total - done))} left"
        return text

    def _summary(self) -> Iterator[str]:
        done = self._succeeded + sum(self._others.values())
        if not done:
            return
        known_total = self._counts.total if self._counts is not None else None
        total = done if known_total is None else known_total
        sum_ = f", {format_amount(self._amount_msat)}" if self._succeeded else ""
        yield f"{self._succeeded} of {total} {self._goal}{sum_}"
        for kind, number in self._others.most_common():
            yield f"{number} {kind}"
        if total > done:
            yield f"{total - done} without a result"

    def _print(self, line: str) -> None:
        self._streams.write_line(self._streams.stdout, line)


def _success(values: Mapping[str, Any]) -> str:
    """What became of a row that has no error."""
    return "could be sent" if values["status"] == "dry-run" else "paid"


def _amount_msat(values: Mapping[str, Any]) -> int:
    amount_msat: int = values.get("amount_received_msat", values["amount_msat"])
    return amount_msat


def _kind(error: SendInvoiceError) -> str:
    """What kind of failure it is, in a few words."""
    kind = _FAILURES[error.exit_status]
    if isinstance(error, PayerError):
        kind = f"the payer {error.what_payer_did}"
    return f"{kind} (exit {error.exit_status.value})"
