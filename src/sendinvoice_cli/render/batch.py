"""Progress and results of a batch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

from ..amounts import format_amount, format_duration
from ..errors import ExitStatus
from . import lines
from .console import draw, make_console
from .json_lines import write_json
from .streams import Streams, silence
from .text import printable

if TYPE_CHECKING:
    from ..outcome import Counts, Result

#: The result of a row in a word or two.
_OUTCOMES = {
    ExitStatus.PAID: "paid",
    ExitStatus.ERROR: "other error",
    ExitStatus.USAGE: "cannot be answered",
    ExitStatus.UNREACHABLE: "lightningd unreachable",
    ExitStatus.OUTCOME_UNKNOWN: "outcome unknown",
    ExitStatus.REQUEST_EXPIRED: "request expired",
    ExitStatus.NO_ROUTE: "no route",
    ExitStatus.PAYER_ERROR: "refused by the payer",
    ExitStatus.TIMED_OUT: "timed out",
    ExitStatus.LABEL_TAKEN: "label taken",
    ExitStatus.INTERRUPTED: "interrupted",
    ExitStatus.TERMINATED: "interrupted",
}


class BatchReport:
    """Prints each result, shows progress, and prints a summary.

    :param as_json: print one JSON object for each row to stdout, and nothing else.
    :param verbose: print the steps, too.
    :param quiet: print errors only.
    :param output: also gets each result, as a JSON line; closed at the end.
    """

    def __init__(
        self,
        streams: Streams,
        *,
        as_json: bool = False,
        verbose: bool = False,
        quiet: bool = False,
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
        #: Number and sum (msat) of rows by outcome.
        self._sums: dict[str, tuple[int, int]] = {}
        self._stop_drawing: Callable[[], None] | None = None
        if not (as_json or quiet) and streams.stderr.isatty():
            self._start_drawing()

    def result(self, result: Result) -> None:
        """Print the result of a row."""
        values = result.as_json()
        if self._output is not None:
            output = self._output
            self._write("--output", lambda: write_json(values, output))
        error = values["error"]
        outcome = _outcome(values)
        number, amount_msat = self._sums.get(outcome, (0, 0))
        self._sums[outcome] = (number + 1, amount_msat + _amount_msat(values))
        if self._as_json:
            self._write("standard output", lambda: write_json(values, self._streams.stdout))
        elif not self._quiet or error is not None:
            self._print_row(values)

    def counts(self, counts: Counts) -> None:
        """Take the numbers that are shown from now on."""
        self._counts = counts

    def close(self, *, summary: bool) -> None:
        """Remove the numbers from the screen, print the summary, and close the output."""
        if self._stop_drawing is not None:
            self._stop_drawing()
            self._stop_drawing = None
        if summary and not self._as_json and not self._quiet:
            self._write("standard output", self._print_summary)
        if self._output is not None:
            self._write("--output", self._output.close)

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
            self._write(
                "standard output",
                lambda: self._print(f"{head}  {label}  {_outcome(values)}  {amount}"),
            )
        else:
            lines.print_line(
                self._streams,
                f"{head} (line {values['line']})  {label}: {values['error']['message']}",
            )

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

    def _print_summary(self) -> None:
        width = max(map(len, self._sums), default=0)
        for outcome, (number, amount_msat) in sorted(self._sums.items()):
            self._print(f"{outcome:<{width}}{number:>7}  {format_amount(amount_msat)}")

    def _print(self, line: str) -> None:
        self._streams.write_line(self._streams.stdout, line)


def _outcome(values: Mapping[str, Any]) -> str:
    if values.get("status") == "dry-run":
        return "could be sent"
    status = ExitStatus(values["exit_code"])
    suffix = "" if status == ExitStatus.PAID else f" (exit {status.value})"
    return _OUTCOMES[status] + suffix


def _amount_msat(values: Mapping[str, Any]) -> int:
    amount_msat: int = values.get("amount_received_msat", values.get("amount_msat", 0))
    return amount_msat


def open_output(path: str) -> IO[str]:
    """Open a file to append results to; only its owner can read one that is new.

    :raises OSError: it cannot be opened.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w")
