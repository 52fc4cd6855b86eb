from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sendinvoice_cli.errors import ExitStatus, PayerError, SendInvoiceError
from sendinvoice_cli.outcome import Counts, Outcome, Result
from sendinvoice_cli.render.batch import BatchReport, open_output

from .hostile import HOSTILE, SHOWN, harmless

_PAID = {"label": "one", "status": "paid", "amount_msat": 2000, "amount_received_msat": 2001}


def _result(values: Mapping[str, Any], error: SendInvoiceError | None = None) -> Result:
    return Result(3, 4, Outcome(values, error))


def _refused(text: str = "too much") -> Result:
    return _result({"label": text, "status": "unpaid", "amount_msat": 9000}, PayerError(text))


# --- for people ---


def test_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    report = BatchReport()
    report.result(_result(_PAID))
    report.result(_result({"label": "two", "status": "dry-run", "amount_msat": 1000}))
    report.result(_refused())
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "row 3  one  paid  2.001 sat (2,001 msat)",
        "row 3  two  could be sent  1 sat (1,000 msat)",
    ]
    assert captured.err == "sendinvoice: row 3 (line 4)  too much: too much\n"


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    report = BatchReport()
    for result in (_result(_PAID), _result(_PAID), _refused()):
        report.result(result)
    capsys.readouterr()
    report.close(summary=True)
    assert capsys.readouterr().out.splitlines() == [
        "paid                                2  4.002 sat",
        "refused by the payer (exit 14)      1  9 sat",
    ]


def test_no_summary_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    BatchReport().close(summary=True)
    assert capsys.readouterr() == ("", "")


def test_every_outcome_has_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    failures = set(ExitStatus) - {ExitStatus.PAID, ExitStatus.PARTLY_PAID}
    report = BatchReport()
    for status in failures:
        error = type("AnyError", (SendInvoiceError,), {"exit_status": status})("any")
        report.result(_result({"label": "any"}, error))
    report.close(summary=True)
    summary = capsys.readouterr().out
    assert all(f" (exit {status.value}) " in summary for status in failures)


@pytest.mark.parametrize("quiet", [False, True])
def test_hostile_rows(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    report = BatchReport(quiet=quiet)
    report.result(_result({**_PAID, "label": HOSTILE}))
    report.result(_refused(HOSTILE))
    report.result(_refused("x" * 1_000_000))
    report.warn(HOSTILE, HOSTILE)
    report.close(summary=True)
    captured = capsys.readouterr()
    assert (SHOWN in captured.out) is not quiet
    assert captured.err.count(SHOWN) == (2 if quiet else 4)
    assert len(harmless(captured.out)) < 2_000
    assert len(harmless(captured.err)) < 20_000


def test_hostile_steps_of_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    BatchReport(verbose=True).for_row(1).warn(HOSTILE, HOSTILE)
    assert harmless(capsys.readouterr().err).count(SHOWN) == 2


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("color", [None, True, False])
def test_hostile_rows_above_the_numbers(
    monkeypatch: pytest.MonkeyPatch, color: bool | None
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "1000")
    report = BatchReport(color=color)
    report.counts(Counts(paid=1, failed=2, waiting=3, total=None))
    report.result(_result({**_PAID, "label": HOSTILE}))
    report.result(_refused(HOSTILE))
    report.close(summary=True)
    shown = terminal.getvalue()
    assert shown.count(SHOWN) == 3
    assert "3/? done: 1 paid, 2 failed, 3 waiting" in shown
    for harm in ("\x1b[31m", "\x9b", "\x1b]0;", "\x07", "\u202e", "\u200b", "\x85", "\udcff"):
        assert harm not in shown


# --- for programs ---


def test_json_lines_whole_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output = io.StringIO()
    report = BatchReport(as_json=True, output=output)
    results = [_refused(HOSTILE), _refused("x" * 1_000_000)]
    for result in results:
        report.result(result)
    written = output.getvalue()
    report.close(summary=True)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == written
    assert written.isascii()
    assert [json.loads(line) for line in written.splitlines()] == [
        result.as_json() for result in results
    ]


def test_output_is_for_its_owner_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "results"
    before = os.umask(0)
    try:
        for _ in range(2):
            with open_output(str(path)) as file:
                file.write("line\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "line\nline\n"
