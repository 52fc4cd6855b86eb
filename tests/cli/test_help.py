"""``--help``, and what is shown when nothing is given."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from sendinvoice_cli.cli import command as cli
from sendinvoice_cli.cli.help import EXAMPLES, Group
from sendinvoice_cli.errors import ExitStatus


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The help, as on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run(["--help"]) == 0
    return capsys.readouterr().out


def test_no_line_is_longer_than_80_columns(shown: str) -> None:
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_the_short_option_shows_the_same(shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["-h"]) == 0
    assert capsys.readouterr().out == shown


def test_groups_stand_in_their_order(shown: str) -> None:
    headings = re.findall(r"^(\w[^\n]*):$", shown, re.MULTILINE)
    assert headings == [*(group.value for group in Group), "Examples"]


def test_every_parameter_has_one_row(shown: str) -> None:
    context = click.Context(cli.command)
    for param in cli.command.get_params(context):
        record = param.get_help_record(context)
        assert record is not None
        rows = re.findall(rf"^  (?:.*, )?{re.escape(record[0])}(?:,|  |$)", shown, re.MULTILINE)
        assert len(rows) == 1, record[0]


def test_examples_are_understood(shown: str) -> None:
    assert len(EXAMPLES) == 3
    for example, _ in EXAMPLES:
        assert f"    {example}\n" in shown
        cli.command.make_context("sendinvoice", shlex.split(example)[1:])


def test_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: sendinvoice [OPTIONS] INVREQ LABEL")
    assert "sendinvoice --help " in err
    assert "sendinvoice-sandbox demo " in err


def test_no_arguments_but_a_batch_in_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDINVOICE_BATCH", "/nowhere/at/all.csv")
    cli.run([])
    assert "Usage" not in capsys.readouterr().err


def test_it_ends_with_exit_statuses_and_the_man_page(shown: str) -> None:
    statuses, man = shown.splitlines()[-2:]
    assert statuses.startswith("Exit status: 0 paid, ")
    assert {int(number) for number in re.findall(r"[0-9]+", statuses)} <= set(ExitStatus)
    assert "sendinvoice(1)" in man


def test_options_explain_themselves_without_a_comma() -> None:
    """fish shows no more than what is in front of one when it completes an option."""
    for param in cli.command.params:
        if isinstance(param, click.Option):
            shown = param.help or ""
            assert "," not in shown
            assert len(shown.split()) > 2, param.opts
            assert not shown.startswith("The same as"), param.opts


def test_arguments_are_short_forms_in_the_order_of_the_rpc(shown: str) -> None:
    rows = re.findall(r"^  ([A-Z_]+)  +(.*)$", shown, re.MULTILINE)
    assert [name for name, _ in rows] == ["INVREQ", "LABEL", "AMOUNT_MSAT", "TIMEOUT", "QUANTITY"]
    for name, text in rows[2:]:
        assert text.startswith(f"Short for --{name.lower().replace('_', '-')}.")
