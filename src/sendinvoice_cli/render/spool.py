"""Printing in threads of its own, one for each stream.

A reader that is slow or stops, so that the pipe is full, delays neither messages nor signals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import TextIO, cast

from ..outcome import Counts, Result
from ..threads import spawn
from .batch import BatchReport
from .progress import PlainProgress
from .streams import Streams


class Spool:
    """A report that a thread of its own prints."""

    def __init__(self, report: BatchReport) -> None:
        self._report = report
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = spawn(self._write)

    def result(self, result: Result) -> None:
        """Queue a result."""
        self._work.put(partial(self._report.result, result))

    def step(self, text: str) -> None:
        """Queue a step."""
        self._work.put(partial(self._report.log.step, text))

    def warn(self, text: str, hint: str | None = None, *, even_if_quiet: bool = False) -> None:
        """Queue a warning, and what to do."""
        self._work.put(partial(self._report.log.warn, text, hint, even_if_quiet=even_if_quiet))

    def counts(self, counts: Counts) -> None:
        """Take the numbers that are shown from now on."""
        self._report.counts(counts)

    def for_row(self, number: int) -> PlainProgress:
        """The progress of one row: its steps if verbose, and warnings that must be seen."""
        verbose = self._report.is_verbose
        return PlainProgress(
            self, wants_route=verbose, prefix=f"row {number}: ", must_see_only=not verbose
        )

    def close(self) -> None:
        """Wait until everything is printed, and close the report."""
        self._work.put(None)
        self._thread.join()
        self._report.close()

    def _write(self) -> None:
        while (work := self._work.get()) is not None:
            work()


@contextmanager
def spooled_stderr(streams: Streams) -> Iterator[None]:
    """Have a thread write whatever goes to stderr, and wait at the end until it is written."""
    stderr = streams.stderr
    texts: SimpleQueue[str | None] = SimpleQueue()

    def write() -> None:
        while (text := texts.get()) is not None:
            stderr.write(text)
            stderr.flush()

    thread = spawn(write)
    streams.stderr = cast("TextIO", _SpooledStream(stderr, texts))
    try:
        yield
    finally:
        texts.put(None)
        thread.join()
        streams.stderr = stderr


class _SpooledStream:
    """Everything but writing is passed to the stream."""

    def __init__(self, stream: TextIO, texts: SimpleQueue[str | None]) -> None:
        self._stream = stream
        self._texts = texts

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Queue the text."""
        self._texts.put(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread does."""
