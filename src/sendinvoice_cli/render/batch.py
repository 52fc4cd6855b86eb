"""How a batch goes, and what became of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

from ..errors import ExitStatus
from . import lines
from .amounts import format_amount, format_duration, format_sat
from .console import make_console
from .json_lines import print_json, write_json
from .progress import PlainProgress, SilentProgress
from .text import printable

if TYPE_CHECKING:
    from rich.live import Live

    from ..outcome import Counts, Result

#: What a row came to, in a word or two.
_OUTCOMES = {
    ExitStatus.PAID: "paid",
    ExitStatus.ERROR: "failed otherwise",
    ExitStatus.USAGE: "malformed",
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
    """Prints results as they come, shows how far it is, and sums up.

    :param as_json: one JSON object for each row on stdout, and nothing else.
    :param output: where every result goes as well, line by line.
    :param color: None to decide by the terminal.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        verbose: bool = False,
        quiet: bool = False,
        color: bool | None = None,
        output: IO[str] | None = None,
    ) -> None:
        self._as_json = as_json
        self._verbose = verbose
        self._quiet = quiet
        self._color = color
        self._output = output
        #: Where nothing can be written any more; said once.
        self._unwritable: set[str] = set()
        self._counts: Counts | None = None
        self._started = time.monotonic()
        #: Number and sum (msat) of rows by outcome.
        self._sums: dict[str, tuple[int, int]] = {}
        self._live: Live | None = None
        if not (as_json or quiet) and sys.stderr.isatty():
            self._start_live()

    def result(self, result: Result) -> None:
        """Print what became of a row."""
        values = result.as_json()
        if self._output is not None:
            output = self._output
            self._write("--output", lambda: write_json(values, output))
        error = values["error"]
        outcome = _outcome(values)
        number, amount_msat = self._sums.get(outcome, (0, 0))
        self._sums[outcome] = (number + 1, amount_msat + _amount_msat(values))
        if self._as_json:
            self._write("standard output", lambda: print_json(values))
        elif not self._quiet or error is not None:
            self._print_row(values)

    def counts(self, counts: Counts) -> None:
        """Take the numbers for the next look at the screen."""
        self._counts = counts

    def step(self, text: str) -> None:
        """Say what was done for all rows."""
        if self._verbose:
            lines.print_line(text)

    def warn(self, text: str, hint: str | None = None) -> None:
        """Say what is wrong."""
        if not self._quiet:
            lines.print_warning(text, hint)

    def for_row(self, _number: int) -> PlainProgress | SilentProgress:
        """Rows are silent, unless every step is asked for."""
        return PlainProgress(verbose=True) if self._verbose else SilentProgress()

    def close(self, *, summary: bool) -> None:
        """Take the numbers off the screen, and print the sums."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
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
                # What is left in the buffer would fail once more when Python ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if where not in self._unwritable:
                self._unwritable.add(where)
                lines.print_error(f"cannot write results to {where}: {failure.strerror}")

    def _print_row(self, values: Mapping[str, Any]) -> None:
        label = printable(str(values.get("label", "?")), 100)
        head = f"row {values['row']}"
        if values["error"] is None:
            amount = format_amount(_amount_msat(values))
            self._write(
                "standard output",
                lambda: _print(f"{head}  {label}  {_outcome(values)}  {amount}"),
            )
        else:
            lines.print_line(
                f"{head} (line {values['line']})  {label}: {values['error']['message']}"
            )

    def _start_live(self) -> None:
        from rich.live import Live
        from rich.text import Text

        self._live = Live(
            console=make_console(stderr=True, color=False if self._color is False else None),
            get_renderable=lambda: Text(self._numbers(), no_wrap=True, overflow="ellipsis"),
            transient=True,
            # Unless both are the same screen, results belong where they were sent.
            redirect_stdout=sys.stdout.isatty(),
            refresh_per_second=4,
        )
        self._live.start()

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
            sys.stdout.write(f"{outcome:<{width}}{number:>7}  {format_sat(amount_msat)}\n")
        sys.stdout.flush()


def _outcome(values: Mapping[str, Any]) -> str:
    if values.get("status") == "dry-run":
        return "could be sent"
    status = ExitStatus(values["exit_code"])
    suffix = "" if status == ExitStatus.PAID else f" (exit {status.value})"
    return _OUTCOMES[status] + suffix


def _amount_msat(values: Mapping[str, Any]) -> int:
    amount_msat: int = values.get("amount_received_msat", values.get("amount_msat", 0))
    return amount_msat


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def open_output(path: str) -> IO[str]:
    """Open a file for results, readable by its owner only; what it held is kept.

    :raises OSError: it cannot be opened.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w")
