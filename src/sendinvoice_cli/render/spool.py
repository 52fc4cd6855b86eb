"""Writing results while the work goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from ..outcome import Counts, Result
from .batch import BatchReport
from .progress import PlainProgress, SilentProgress


class Spool:
    """A report that is written by a thread of its own.

    Whoever does not read what is printed, a full pipe for one, holds up neither what is to be
    sent nor the signals that end it.
    """

    def __init__(self, report: BatchReport) -> None:
        self._report = report
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def result(self, result: Result) -> None:
        """Have a result printed."""
        self._work.put(partial(self._report.result, result))

    def step(self, text: str) -> None:
        """Have a step printed."""
        self._work.put(partial(self._report.step, text))

    def warn(self, text: str, hint: str | None = None) -> None:
        """Have a warning printed."""
        self._work.put(partial(self._report.warn, text, hint))

    def counts(self, counts: Counts) -> None:
        """Take the numbers."""
        self._report.counts(counts)

    def for_row(self, number: int) -> PlainProgress | SilentProgress:
        """Who is told how one row goes."""
        return self._report.for_row(number)

    def close(self, *, summary: bool) -> None:
        """Wait until all is printed, and close the report."""
        self._work.put(None)
        self._thread.join()
        self._report.close(summary=summary)

    def _write(self) -> None:
        while (work := self._work.get()) is not None:
            work()
