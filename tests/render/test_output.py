from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.live import Live

from sendinvoice_cli.errors import InterruptedBySignalError
from sendinvoice_cli.outcome import Offered
from sendinvoice_cli.render import json_lines, lines, table
from sendinvoice_cli.render.progress import PlainProgress, TerminalProgress
from sendinvoice_cli.render.streams import Streams
from sendinvoice_cli.signals import Interruption
from tests.support.requests_builder import PAYER_ID

from .hostile import HOSTILE, harmless, without_colour, without_control
from .kept_streams import KeptStreams, Terminal

SHOW_CURSOR = "\x1b[?25h"
_PAID: dict[str, Any] = {
    "label": "a label",
    "description": "A refund",
    "payment_hash": "77" * 32,
    "status": "paid",
    "expires_at": 1_700_000_090,
    "amount_msat": 1_500_000,
    "bolt12": "lni1" + "q" * 6000,
    "pay_index": 1,
    "amount_received_msat": 1_500_001,
    "paid_at": 1_700_000_010,
    "payment_preimage": "01" * 32,
    "exit_code": 0,
    "error": None,
}
#: What an invoice that is not paid has instead.
_UNPAID: dict[str, Any] = {
    "status": "unpaid",
    "amount_received_msat": None,
    "paid_at": None,
    "payment_preimage": None,
    "exit_code": 15,
    "error": {"code": 1005, "message": "not in time"},
}
_DRY_RUN: dict[str, Any] = {
    "label": "a label",
    "status": "dry-run",
    "description": "A refund",
    "amount_msat": 1000,
    "payer": PAYER_ID.hex(),
    "network": "regtest",
    "path": [PAYER_ID.hex()],
    "would_connect": True,
    "exit_code": 0,
    "error": None,
}


# --- JSON ---


def test_json_is_ascii_and_never_cut(streams: KeptStreams) -> None:
    result = {"label": HOSTILE, "error": {"message": HOSTILE * 3000}, "amount_msat": 2**63}
    json_lines.write_json(result, streams.stdout)
    printed = streams.read().out
    assert printed.isascii()
    assert printed.endswith("\n")
    assert printed.rstrip("\n").isprintable()
    assert json.loads(printed) == {
        "label": HOSTILE.replace("\udcff", "\ufffd"),
        "error": {"message": HOSTILE.replace("\udcff", "\ufffd") * 3000},
        "amount_msat": 2**63,
    }


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        pytest.param("\ud800", "\ufffd", id="high"),
        pytest.param("\udcfc", "\ufffd", id="low, as a byte of Latin-1 comes"),
        pytest.param("a\ud800b\udc00", "a\ufffdb\ufffd", id="apart"),
        pytest.param("\ud83d\ude00", "\U0001f600", id="a pair"),
        pytest.param("\U0001f600", "\U0001f600", id="a character"),
        pytest.param("\\ud800 \\\\udc00", "\\ud800 \\\\udc00", id="an escape as text"),
        pytest.param('\ud800"\n', '\ufffd"\n', id="among other escapes"),
    ],
)
def test_json_has_no_unpaired_surrogate(streams: KeptStreams, text: str, printed: str) -> None:
    """Strict readers stop at one; here as a value, as a key, and inside of an error."""
    json_lines.write_json({"label": text, "error": {"data": {text: [text]}}}, streams.stdout)
    line = streams.read().out
    assert line.isascii()
    found = json.loads(line)
    found["label"].encode()
    assert found == {"label": printed, "error": {"data": {printed: [printed]}}}


def test_json_amounts_are_integers(streams: KeptStreams) -> None:
    json_lines.write_json({"amount_msat": 2_099_999_999_999_999_999}, streams.stdout)
    assert streams.read().out == '{"amount_msat": 2099999999999999999}\n'


# --- the table ---


def _found(shown: str) -> dict[str, str]:
    """The rows of a table, by name."""
    return {line[:14].strip(): line[14:] for line in shown.splitlines() if line[12:14] == "  "}


def test_table_shows_a_payment(streams: KeptStreams) -> None:
    table.print_result(streams, _PAID, route=["us", "Bob", "the payer"])
    shown = streams.read().out
    assert "\x1b" not in shown
    found = _found(shown)
    assert found["label"] == "a label"
    assert found["description"] == "A refund"
    assert found["amount"] == "1,500 sat"
    assert found["received"] == "1,500.001 sat (1,500,001 msat)"
    assert found["preimage"] == "01" * 32
    assert found["route"] == "us → Bob → the payer"


def test_table_tells_when_less_was_received(streams: KeptStreams) -> None:
    table.print_result(streams, {**_PAID, "amount_received_msat": 1_000_000})
    assert _found(streams.read().out)["received"] == "1,000 sat"
    table.print_result(streams, {**_PAID, "amount_received_msat": 1_500_000})
    assert "received" not in streams.read().out


def test_table_tells_until_when_an_invoice_can_be_paid(streams: KeptStreams) -> None:
    table.print_result(streams, _PAID)
    assert "expires" not in streams.read().out
    unpaid = {name: each for name, each in {**_PAID, **_UNPAID}.items() if each is not None}
    table.print_result(streams, unpaid)
    assert _found(streams.read().out)["expires"].startswith("2023-11-1")


def test_piped_table_is_neither_cut_nor_wrapped(streams: KeptStreams) -> None:
    description = "word " * 99 + "last"
    table.print_result(streams, {**_PAID, "description": description})
    printed = streams.read().out.splitlines()
    assert any(line.endswith(description) for line in printed)
    assert any(line.endswith("77" * 32) for line in printed)


def test_an_unknown_width_hides_nothing(
    streams: KeptStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    table.print_result(streams, _PAID)
    assert _found(streams.read().out)["label"] == "a label"


@pytest.mark.parametrize("color", [None, True, False])
def test_table_has_colour_only_if_told_but_never_in_bolt12(
    streams: KeptStreams, color: bool | None
) -> None:
    streams.color = color
    table.print_result(streams, _PAID, with_bolt12=True)
    shown = streams.read().out
    assert ("\x1b[" in shown) is (color is True)
    # A bolt12 string is copied from there: no colour in it, and no line break.
    assert _PAID["bolt12"] in without_colour(shown).splitlines()


def test_table_has_the_invoice_only_when_it_is_wanted(streams: KeptStreams) -> None:
    """It fills the screen."""
    table.print_result(streams, _PAID)
    assert "lni1" not in streams.read().out


@pytest.mark.parametrize("with_bolt12", [False, True])
@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "Paid 1,500.001 sat (1,500,001 msat): A refund"),
        ({"amount_received_msat": 1_500_000}, "Paid 1,500 sat: A refund"),
        ({"amount_received_msat": 1_500_000, "description": ""}, "Paid 1,500 sat"),
        (_UNPAID, "Not paid, 1,500 sat: A refund"),
        ({**_UNPAID, "status": "expired"}, "Not paid, 1,500 sat: A refund"),
        ({**_UNPAID, "exit_code": 5}, "Unknown whether paid, 1,500 sat: A refund"),
        ({**_UNPAID, "exit_code": 130}, "Not paid yet, 1,500 sat: A refund"),
        ({**_UNPAID, "exit_code": 143}, "Not paid yet, 1,500 sat: A refund"),
        (
            {"status": "dry-run"},
            "Dry run: the request can be answered; nothing was sent",
        ),
    ],
)
def test_last_line_is_the_verdict(
    streams: KeptStreams, changes: dict[str, Any], verdict: str, with_bolt12: bool
) -> None:
    changed = {**_PAID, **changes}
    result: dict[str, Any] = {name: each for name, each in changed.items() if each is not None}
    table.print_result(streams, {"error": None, **result}, with_bolt12=with_bolt12)
    assert streams.read().out.splitlines()[-1] == verdict


def test_verdict_stays_on_a_line(streams: KeptStreams) -> None:
    table.print_result(streams, {**_PAID, "amount_received_msat": 1, "description": "word " * 50})
    verdict = streams.read().out.splitlines()[-1]
    assert verdict.startswith("Paid 0.001 sat (1 msat): word word ")
    assert verdict.endswith("… (190 more characters)")


def test_table_of_a_dry_run(streams: KeptStreams) -> None:
    table.print_result(streams, _DRY_RUN)
    found = _found(streams.read().out)
    assert found["amount"] == "1 sat"
    assert found["description"] == "A refund"
    assert found["payer"] == PAYER_ID.hex()
    assert found["network"] == "regtest"
    assert found["connect"].startswith("a new connection")


def test_table_says_nothing_that_the_screen_shows_already(streams: KeptStreams) -> None:
    progress = TerminalProgress(streams)
    progress.offered(
        _offered("A refund")._replace(issuer=None, payer_note=None, bip_353_name=None), 1000
    )
    progress.routed(["us", "Bob"])
    progress.close()
    table.print_result(streams, _DRY_RUN, route=progress.route, is_offer_shown=True)
    shown = "".join(streams.read())
    for once in ("1 sat", "A refund", PAYER_ID.hex(), "us → Bob"):
        assert shown.count(once) == 1, once


def test_no_table_is_printed_without_an_invoice(streams: KeptStreams) -> None:
    result: dict[str, Any] = {"label": "a label", "status": None, "exit_code": 4, "error": {}}
    table.print_result(streams, result)
    assert streams.read().out == ""


@pytest.mark.parametrize("color", [None, True])
@pytest.mark.parametrize(
    ("field", "times"),
    [
        ("label", 2),
        ("description", 3),
        ("payment_hash", 2),
        ("payment_preimage", 2),
        ("bolt12", 2),
    ],
)
def test_hostile_results_are_escaped_and_cut(
    streams: KeptStreams, field: str, times: int, color: bool | None
) -> None:
    streams.color = color
    result, route = {**_PAID, field: HOSTILE}, ["us", HOSTILE * 1000]
    table.print_result(streams, result, route=route, with_bolt12=True)
    shown = harmless(streams.read().out)
    assert shown.count(r"[red]x[/red] \x1b[31m") == times
    assert len(shown) < 20_000


@pytest.mark.parametrize("field", ["payer", "network"])
def test_hostile_dry_runs_are_escaped(streams: KeptStreams, field: str) -> None:
    table.print_result(streams, {**_DRY_RUN, field: HOSTILE})
    assert r"[red]x[/red] \x1b[31m" in harmless(streams.read().out)


def test_a_long_description_is_cut_and_says_so(streams: KeptStreams) -> None:
    table.print_result(streams, {**_PAID, "description": "x" * 5_000_000})
    shown = streams.read().out
    assert len(shown) < 10_000
    assert "(4,999,500 more characters)" in shown


# --- lines on stderr ---


def test_errors_and_warnings_go_to_stderr_with_hints(streams: KeptStreams) -> None:
    lines.print_error(streams, "what happened", "what to do")
    lines.Log(streams).warn("something")
    captured = streams.read()
    assert captured.out == ""
    assert captured.err == (
        "sendinvoice: what happened\n  hint: what to do\nsendinvoice: warning: something\n"
    )


def test_hostile_lines_are_escaped_and_cut(streams: KeptStreams) -> None:
    lines.print_error(streams, HOSTILE, HOSTILE)
    lines.Log(streams).warn("x" * 1_000_000, "x" * 1_000_000)
    shown = harmless(streams.read().err)
    assert shown.count("\n") == 4
    assert len(shown) < 20_000


# --- progress ---


def _offered(text: str | None, absolute_expiry: int | None = 2**64 - 1) -> Offered:
    return Offered(
        amount_msat=1_500_000,
        description=text,
        issuer=text,
        payer_note=text,
        payer_id=PAYER_ID.hex(),
        absolute_expiry=absolute_expiry,
        quantity=None,
        quantity_max=None,
        currency=None,
        offer_amount=None,
        bip_353_name=text,
        signed=True,
        paths=0,
    )


def _report(progress: PlainProgress | TerminalProgress, text: str) -> None:
    progress.offered(_offered(text), 1_500_000)
    progress.step(text)
    progress.routed(["us", text])
    progress.warn(text, text)
    progress.awaiting_payment(0)
    progress.close()


def _plain(**options: bool) -> Callable[[Streams], PlainProgress]:
    """A progress for log files."""
    return lambda streams: PlainProgress(lines.Log(streams, **options))


@pytest.mark.parametrize(
    ("make", "color"),
    [
        (_plain(verbose=True), None),
        (TerminalProgress, None),
        (TerminalProgress, True),
        (TerminalProgress, False),
    ],
    ids=["plain", "terminal", "with colour", "without colour"],
)
@pytest.mark.parametrize("text", [HOSTILE, "x" * 1_000_000], ids=["hostile", "megabyte"])
def test_hostile_progress_is_escaped_and_cut(
    streams: KeptStreams, make: Any, color: bool | None, text: str
) -> None:
    streams.color = color
    _report(make(streams), text)
    captured = streams.read()
    assert captured.out == ""
    shown = harmless(captured.err)
    assert len(shown) < 30_000
    assert "1,500 sat" in shown
    assert PAYER_ID.hex() in shown


def test_terminal_shows_what_the_payer_says(streams: KeptStreams) -> None:
    progress = TerminalProgress(streams)
    progress.offered(_offered("[b]for[/b] me"), 1_500_000)
    progress.offered(_offered(None, None), 1)
    shown = streams.read().err
    first, second = shown.split(PAYER_ID.hex())[:2]
    assert first.count("[b]for[/b] me") == 3
    assert "0.001 sat (1 msat)" in second
    assert "None" not in shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3600 * 26 + 60, "(in 1d 2h)"), (-90, "(1m 30s ago)")]
)
def test_expiry_is_shown_relative_to_now(streams: KeptStreams, seconds: int, shown: str) -> None:
    progress = TerminalProgress(streams, clock=lambda: 1_800_000_000)
    progress.offered(_offered("text", 1_800_000_000 + seconds), 1)
    (line,) = [each for each in streams.read().err.splitlines() if "valid until" in each]
    assert line.endswith(shown)


@pytest.mark.parametrize("seconds", [5, 90, 3600, 86_399, 99 * 86_400])
def test_countdown_fits_a_line(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """On 80 columns; it would leave lines behind otherwise."""
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "80")
    progress = TerminalProgress(Streams(None, terminal, terminal), clock=lambda: 0)
    progress.awaiting_payment(seconds)
    progress.close()
    (line,) = [each for each in terminal.getvalue().split("\n") if "Ctrl-C" in each]
    assert len(without_control(line)) <= 80
    assert line.endswith(" to continue)")


def test_countdown_goes_on_with_the_invoice_that_replaces_an_expired_one() -> None:
    """A second one stayed for ever, with the cursor hidden; older rich refused it."""
    terminal = Terminal()
    progress = TerminalProgress(Streams(None, terminal, terminal), clock=lambda: 0)
    progress.awaiting_payment(20)
    progress.awaiting_payment(90)
    progress.close()
    assert "1m 30s left" in terminal.getvalue()
    assert terminal.getvalue().count(SHOW_CURSOR) == 1
    shown = len(terminal.getvalue())
    progress.step("the end")
    assert "Ctrl-C" not in terminal.getvalue()[shown:]


def test_signal_while_the_countdown_begins_leaves_the_cursor_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = Live.start

    def interrupt(live: Live, refresh: bool = False) -> None:
        start(live, refresh)
        raise Interruption(InterruptedBySignalError("interrupted"))

    monkeypatch.setattr(Live, "start", interrupt)
    terminal = Terminal()
    streams = Streams(None, terminal, terminal)
    with pytest.raises(Interruption):
        TerminalProgress(streams).awaiting_payment(20)
    assert terminal.getvalue().count(SHOW_CURSOR) == 1
    assert streams.print_above is None


def test_terminal_shows_warnings_with_hints() -> None:
    terminal = Terminal()
    progress = TerminalProgress(Streams(None, None, terminal))
    progress.warn("it may be slow", "wait")
    progress.warn("it costs money", "stop", even_if_quiet=True)
    plain, urgent = terminal.getvalue().split("! it costs")
    assert without_colour(plain).splitlines()[:2] == ["! it may be slow", "  wait"]
    assert without_colour(urgent).splitlines() == [" money", "  stop"]
    # What costs money stands out.
    assert plain.endswith("\x1b[1;33m")
    assert "\x1b[1;33m" not in plain.removesuffix("\x1b[1;33m")


def test_quiet_progress_prints_nothing_but_what_must_be_seen(streams: KeptStreams) -> None:
    progress = _plain(quiet=True)(streams)
    _report(progress, "text")
    assert streams.read() == ("", "")
    progress.warn("it costs money", "stop", even_if_quiet=True)
    assert streams.read().err == "sendinvoice: warning: it costs money\n  hint: stop\n"


def test_plain_progress_prints_only_warnings(streams: KeptStreams) -> None:
    progress = _plain()(streams)
    _report(progress, "text")
    assert streams.read().err == "sendinvoice: warning: text\n  hint: text\n"
    # And no node has to be asked for its alias.
    assert not progress.wants_route


@pytest.mark.parametrize("make", [_plain(), TerminalProgress])
def test_the_route_is_kept_for_the_result(streams: KeptStreams, make: Any) -> None:
    progress = make(streams)
    progress.routed(["us", "the payer"])
    assert progress.route == ["us", "the payer"]
