from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from sendinvoice_cli.errors import (
    ExitStatus,
    NoRouteError,
    PayerError,
    SendInvoiceError,
    TimedOutError,
)
from sendinvoice_cli.outcome import Counts, Outcome, Result
from sendinvoice_cli.render.batch import BatchReport
from sendinvoice_cli.render.spool import Spool
from sendinvoice_cli.render.streams import Streams

from .hostile import HOSTILE, SHOWN, harmless
from .kept_streams import KeptStreams, Terminal

_PAID = {"label": "one", "status": "paid", "amount_msat": 2000, "amount_received_msat": 2001}


def _result(values: Mapping[str, Any], error: SendInvoiceError | None = None) -> Result:
    return Result(3, 4, Outcome(values, error, 1_800_000_000))


def _refused(text: str = "too much") -> Result:
    return _result({"label": text, "status": "unpaid", "amount_msat": 9000}, PayerError(text))


# --- for people ---


def test_each_row_gets_a_line(streams: KeptStreams) -> None:
    report = BatchReport(streams)
    report.result(_result(_PAID))
    report.result(_result({"label": "two", "status": "dry-run", "amount_msat": 1000}))
    report.result(_refused())
    captured = streams.read()
    assert captured.out.splitlines() == [
        "row 3  one  paid  2.001 sat (2,001 msat)",
        "row 3  two  could be sent  1 sat",
    ]
    assert captured.err == "sendinvoice: row 3 (line 4)  too much: too much\n"


def test_a_hint_is_printed_once(streams: KeptStreams) -> None:
    report = BatchReport(streams)
    for hint in ("wait", "wait", "ask", "wait"):
        report.result(_failed(NoRouteError("no", hint=hint)))
    shown = streams.read().err.splitlines()
    row = "sendinvoice: row 3 (line 4)  any: no"
    assert shown == [row, "  hint: wait", row, row, "  hint: ask", row]


def _summary(
    streams: KeptStreams, *results: Result, total: int | None = None, dry_run: bool = False
) -> list[str]:
    """The lines with which a batch of these ends."""
    report = BatchReport(streams, dry_run=dry_run)
    for result in results:
        report.result(result)
    report.counts(Counts(paid=0, failed=0, waiting=0, total=total))
    streams.read()
    report.close()
    report.summarize()
    return streams.read().out.splitlines()


def _failed(error: SendInvoiceError) -> Result:
    return _result({"label": "any"}, error)


def test_summary_counts_what_was_paid_then_the_failures_by_kind(streams: KeptStreams) -> None:
    paid = _result({**_PAID, "amount_received_msat": 2000})
    timed_out = _failed(TimedOutError("no"))
    refused = _failed(PayerError("no"))
    could_not = _failed(PayerError("no", what_payer_did="could not pay"))
    results = (refused, paid, timed_out, paid, timed_out, could_not)
    assert _summary(streams, *results, total=6) == [
        "2 of 6 paid, 4 sat",
        "  2 timed out (exit 15)",
        "  1 the payer refused (exit 14)",
        "  1 the payer could not pay (exit 14)",
    ]


def test_summary_of_a_batch_that_was_interrupted(streams: KeptStreams) -> None:
    assert _summary(streams, _result(_PAID), total=3) == [
        "1 of 3 paid, 2.001 sat (2,001 msat)",
        "  2 without a result",
    ]
    assert _summary(streams, _failed(NoRouteError("no")), total=None) == [
        "0 of 1 paid",
        "  1 no route (exit 13)",
    ]


def test_summary_of_a_dry_run(streams: KeptStreams) -> None:
    could = _result({"label": "two", "status": "dry-run", "amount_msat": 1000})
    assert _summary(streams, could, could, total=2, dry_run=True) == ["2 of 2 could be sent, 2 sat"]


@pytest.mark.parametrize("is_paid_first", [True, False])
def test_summary_of_a_dry_run_calls_nothing_paid_that_is_not(
    streams: KeptStreams, is_paid_first: bool
) -> None:
    could = _result({"label": "two", "status": "dry-run", "amount_msat": 1000})
    results = [_result(_PAID), could] if is_paid_first else [could, _result(_PAID)]
    assert _summary(streams, *results, total=2, dry_run=True) == [
        "1 of 2 could be sent, 1 sat",
        "  1 paid already",
    ]


def test_summary_of_a_dry_run_in_which_all_fails(streams: KeptStreams) -> None:
    summary = _summary(streams, _failed(NoRouteError("no")), total=1, dry_run=True)
    assert summary == ["0 of 1 could be sent", "  1 no route (exit 13)"]


def test_summary_of_no_rows_is_empty(streams: KeptStreams) -> None:
    assert _summary(streams, total=0) == []


def test_summary_names_every_exit_status(streams: KeptStreams) -> None:
    failures = set(ExitStatus) - {ExitStatus.PAID, ExitStatus.PARTLY_PAID}
    errors = [
        type("AnyError", (SendInvoiceError,), {"exit_status": status})("any") for status in failures
    ]
    summary = _summary(streams, *map(_failed, errors))
    assert {int(line.split("exit ")[1].rstrip(")")) for line in summary[1:]} == failures


@pytest.mark.parametrize("quiet", [False, True])
def test_hostile_rows_are_escaped_and_cut(streams: KeptStreams, quiet: bool) -> None:
    report = BatchReport(streams, quiet=quiet)
    report.result(_result({**_PAID, "label": HOSTILE}))
    report.result(_refused(HOSTILE))
    report.result(_refused("x" * 1_000_000))
    report.log.warn(HOSTILE, HOSTILE)
    report.close()
    report.summarize()
    captured = streams.read()
    assert (SHOWN in captured.out) is not quiet
    assert captured.err.count(SHOWN) == (2 if quiet else 4)
    assert len(harmless(captured.out)) < 2_000
    assert len(harmless(captured.err)) < 20_000


@pytest.mark.parametrize("options", [{}, {"quiet": True}, {"as_json": True}, {"verbose": True}])
def test_a_row_whose_money_may_be_lost_is_named(
    streams: KeptStreams, options: dict[str, Any]
) -> None:
    spool = Spool(BatchReport(streams, **options))
    progress = spool.for_row(3)
    progress.warn("a loss", "a hint", even_if_quiet=True)
    progress.warn("another thing")
    spool.close()
    shown = streams.read().err
    assert shown.startswith("sendinvoice: warning: row 3: a loss\n  hint: a hint\n")
    assert ("another thing" in shown) is ("verbose" in options)


def test_hostile_warnings_of_a_row_are_escaped(streams: KeptStreams) -> None:
    spool = Spool(BatchReport(streams, verbose=True))
    spool.for_row(1).warn(HOSTILE, HOSTILE)
    spool.close()
    assert harmless(streams.read().err).count(SHOWN) == 2


@pytest.mark.parametrize("color", [None, True, False])
def test_hostile_rows_above_the_numbers_are_escaped(
    monkeypatch: pytest.MonkeyPatch, color: bool | None
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "1000")
    report = BatchReport(Streams(None, terminal, terminal, color=color))
    report.counts(Counts(paid=1, failed=2, waiting=3, total=None))
    report.result(_result({**_PAID, "label": HOSTILE}))
    report.result(_refused(HOSTILE))
    report.close()
    report.summarize()
    shown = terminal.getvalue()
    assert shown.count(SHOWN) == 3
    assert "3/? done: 1 paid, 2 failed, 3 waiting" in shown
    for harm in ("\x1b[31m", "\x9b", "\x1b]0;", "\x07", "\u202e", "\u200b", "\x85", "\udcff"):
        assert harm not in shown


# --- for programs ---


def test_json_lines_are_ascii_and_never_cut(streams: KeptStreams) -> None:
    output = io.StringIO()
    report = BatchReport(streams, as_json=True, output=output)
    results = [_refused(HOSTILE), _refused("x" * 1_000_000)]
    for result in results:
        report.result(result)
    written = output.getvalue()
    report.close()
    report.summarize()
    captured = streams.read()
    assert captured.err == "sendinvoice: 0 of 2 paid; 2 the payer refused (exit 14)\n"
    assert captured.out == written
    assert written.isascii()
    messages = [json.loads(line)["error"]["message"] for line in written.splitlines()]
    assert messages == [HOSTILE.replace("\udcff", "\ufffd"), "x" * 1_000_000]


def test_a_batch_without_failures_says_nothing_beside_its_json(streams: KeptStreams) -> None:
    report = BatchReport(streams, as_json=True)
    report.result(_result(_PAID))
    report.close()
    report.summarize()
    assert streams.read().err == ""
