"""The man pages say what the commands do: no more, and no less."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import takewhile

import click
import pytest

from sendinvoice_cli import __version__
from sendinvoice_cli.batch.formats import COLUMNS
from sendinvoice_cli.cli import command as cli
from sendinvoice_cli.cli.help import Group
from sendinvoice_cli.errors import ExitStatus
from sendinvoice_cli.request import DEFAULT_TIMEOUT, MAX_TIMEOUT
from sendinvoice_cli.sandbox import cli as sandbox_cli
from sendinvoice_cli.sandbox.known_ends import End
from tests.docs import messages
from tests.docs.mdoc import ROOT, Page
from tests.support.schema import SCHEMA

PAGES = {"sendinvoice": cli.command, "sendinvoice-sandbox": sandbox_cli.main}
#: click adds it to every command by itself.
_HELP = {"-h", "--help"}
_EVERYWHERE = pytest.mark.parametrize("name", PAGES)


def _options(command: click.Command) -> dict[str, click.Option]:
    """Every spelling of every option, those of subcommands included."""
    commands = [command]
    if isinstance(command, click.Group):
        commands += command.commands.values()
    return {
        spelling: param
        for each in commands
        for param in each.params
        if isinstance(param, click.Option)
        for spelling in (*param.opts, *param.secondary_opts)
    }


def _mandoc(name: str, *args: str) -> str:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    command = ["mandoc", *args, str(Page(name).path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@_EVERYWHERE
def test_every_option_has_an_item_of_its_own(name: str) -> None:
    introduced = [flag.name for flag in Page(name).introduced_flags()]
    assert len(introduced) == len(set(introduced))
    assert set(introduced) == set(_options(PAGES[name])) | _HELP


@_EVERYWHERE
def test_options_take_the_values_that_are_named(name: str) -> None:
    options = _options(PAGES[name])
    for flag in Page(name).introduced_flags():
        option = options.get(flag.name)
        if option is None or option.is_flag:
            assert flag.value == (), flag
        elif isinstance(option.type, click.Choice):
            assert flag.value == tuple(option.type.choices)
        else:
            assert flag.value == (option.metavar or option.type.name.upper(),)


@_EVERYWHERE
def test_no_other_option_is_mentioned(name: str) -> None:
    known = set(_options(cli.command)) | set(_options(PAGES[name])) | _HELP
    others = {"--experimental-offers", "--experimental-onion-messages", "--raw"}
    assert Page(name).mentioned_flags() - others <= known


def test_options_stand_in_the_groups_of_the_help() -> None:
    page = Page("sendinvoice")
    groups = page.subsections("OPTIONS")
    assert list(groups) == [group.value for group in Group]
    for title, flags in groups.items():
        expected = {
            name
            for param in cli.command.params
            if isinstance(param, click.Option) and getattr(param, "group", None) is Group(title)
            for name in param.opts
        }
        found = {flag.name for flag in page.flags_of(flags)} - _HELP
        assert found == expected, title


def test_arguments_in_their_order() -> None:
    page = Page("sendinvoice")
    arguments = [
        (param.name or "").upper()
        for param in cli.command.params
        if isinstance(param, click.Argument)
    ]
    assert [words[0] for words in page.tagged("DESCRIPTION", "Ar")] == arguments
    synopsis = " ".join(page.section("SYNOPSIS"))
    places = [synopsis.index(f"Ar {argument}") for argument in arguments]
    assert places == sorted(places)


def test_subcommands_of_the_sandbox() -> None:
    page = Page("sendinvoice-sandbox")
    synopsis = {line.split()[-1] for line in page.section("SYNOPSIS") if " Cm " in line}
    assert synopsis == set(sandbox_cli.main.commands)


def test_requests_of_the_sandbox() -> None:
    rows = Page("sendinvoice-sandbox").columns("REQUESTS")
    assert rows == [[end.file, str(int(end.status)), end.meaning] for end in End]


def test_limits_and_defaults() -> None:
    text = " ".join(Page("sendinvoice").source.split())
    assert f"1 to {MAX_TIMEOUT}, by default {DEFAULT_TIMEOUT}." in text
    text = " ".join(Page("sendinvoice-sandbox").source.split())
    options = _options(sandbox_cli.main)
    amount = options["--amount"]
    assert isinstance(amount.type, click.IntRange)
    assert f"{amount.type.min} to {amount.type.max}, by default {amount.default}." in text
    assert f".Cm {options['--family'].default} , the default," in text


def test_columns_of_a_batch() -> None:
    page = Page("sendinvoice")
    item = " ".join(page.section("OPTIONS")).partition("columns named")[2].partition("Only")[0]
    assert re.findall(r"\w{5,}", item) == list(COLUMNS)


def test_variables_are_those_of_options() -> None:
    source = Page("sendinvoice").source
    variables = set(re.findall(r"SENDINVOICE_([A-Z_]+)\b", source))
    assert variables
    options = {option[2:].replace("-", "_").upper() for option in _options(cli.command)}
    assert variables <= options


def test_exit_statuses() -> None:
    rows = Page("sendinvoice").columns("EXIT STATUS")
    assert [(row[0], row[2]) for row in rows] == [
        (str(int(status)), status.meaning) for status in ExitStatus
    ]
    assert {int(row[0]): row[1] for row in rows} == messages.codes()


def test_json_fields() -> None:
    documented = {
        word for words in Page("sendinvoice").tagged("JSON FIELDS", "Li") for word in words
    }
    assert documented == set(SCHEMA["properties"])


def test_json_fields_of_the_request() -> None:
    lines = Page("sendinvoice").section("JSON FIELDS")
    behind = lines[lines.index(".It Li request") + 1 :]
    item = takewhile(lambda line: not line.startswith(".It "), behind)
    documented = {
        word.rstrip(",")
        for line in item
        if line.startswith(".Li ")
        for word in line.split()[1:]
        if word not in (",", ".")
    }
    assert documented == set(SCHEMA["properties"]["request"]["properties"])


def test_json_data_of_errors() -> None:
    text = " ".join(Page("sendinvoice").section("JSON FIELDS"))
    branches = json.dumps(SCHEMA["$defs"]["failed"])
    for field in ("erroneous_field", "suggested_value", "invstring"):
        assert field in text
        assert field in branches


def test_diagnostics_exist() -> None:
    page = Page("sendinvoice")
    items = [line[4:] for line in page.section("DIAGNOSTICS") if line.startswith(".It ")]
    assert len(items) > 5
    assert [item for item in items if not messages.exists(item)] == []


@_EVERYWHERE
def test_version(name: str) -> None:
    assert Page(name).os == f"sendinvoice {__version__}"


@_EVERYWHERE
def test_lint(name: str) -> None:
    complaints = [
        line
        for line in _mandoc(name, "-T", "lint", "-W", "style").splitlines()
        # Whether the other pages are installed says nothing about this one.
        if "referenced manual not found" not in line
    ]
    assert complaints == []


@_EVERYWHERE
def test_it_fits_80_columns(name: str) -> None:
    shown = re.sub(r".\x08", "", _mandoc(name, "-T", "utf8", "-O", "width=80"))
    assert shown.count("\n") > 50
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_pages_refer_to_pages_that_exist() -> None:
    """Of our own; the others are lightningd's and the system's."""
    ours = {path.stem for path in (ROOT / "man").glob("*.1")}
    assert ours == set(PAGES)
    for name in PAGES:
        referred = re.findall(r"\.Xr (sendinvoice[\w-]*) 1", Page(name).source)
        assert referred
        assert set(referred) <= ours - {name}
