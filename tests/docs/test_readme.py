"""README.md and the other papers say what is so."""

from __future__ import annotations

import re
import shlex
from itertools import takewhile

import pytest

from sendinvoice_cli import __version__
from sendinvoice_cli.batch.formats import COLUMNS
from sendinvoice_cli.cli import command as cli
from sendinvoice_cli.errors import ExitStatus
from tests.docs import messages, picture, session
from tests.docs.mdoc import ROOT

_README = session.README.read_text(encoding="utf-8")
_PAPERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def _table(header: str) -> list[list[str]]:
    """The rows of the table whose first line is ``header``."""
    lines = _README.splitlines()
    rows = takewhile(lambda line: line.startswith("|"), lines[lines.index(header) + 2 :])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def _code(text: str = _README) -> list[str]:
    """The lines of the code blocks."""
    fenced = re.findall(r"^```.*\n((?:.*\n)*?)```$", text, re.MULTILINE)
    indented = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    return [*indented, *"".join(fenced).splitlines()]


def _commands(text: list[str]) -> list[list[str]]:
    """The arguments of each ``sendinvoice`` in lines of code."""
    found = []
    for line in text:
        command = re.search(
            r"(?:^|[$] |lightningd |\$\(|=/\S+/)sendinvoice (?P<args>[^|#<]*)", line
        )
        if command is not None:
            found.append(shlex.split(command["args"]))
    return found


def test_session() -> None:
    """If this fails, look at what has changed, then run ``make session``."""
    assert session.normalise(session.shown()) == session.normalise(session.record())


def test_normalising_leaves_what_matters() -> None:
    ours = session.normalise("route  us → bob\nlni1qqgq7ugj5hkg2as90e4yhyegw959\n50,000 sat\n")
    assert ours == "route  us → bob\nlni1…\n50,000 sat\n"


def test_picture() -> None:
    """If this fails, look at what has changed, then run ``make session``."""
    shown = picture.text_of(picture.PICTURE.read_text(encoding="utf-8"))
    now = picture.text_of(picture.draw(picture.record()))
    assert session.normalise(shown) == session.normalise(now)


def test_picture_needs_nothing_from_the_network() -> None:
    drawn = picture.PICTURE.read_text(encoding="utf-8")
    assert "<svg" in drawn
    assert "url(http" not in drawn
    assert "@import" not in drawn


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("\x1b[1mbold\x1b[0m", ["\x1b[1mbold\x1b[0m"]),
        ("\x1b[?25lwait 9\r\x1b[2Kwait 8\r\x1b[2Kpaid\x1b[?25h", ["paid"]),
        ("one\r\nwait\r\n\x1b[1A\x1b[2Ktwo", ["one", "two"]),
        ("wait\r\nlong\r\x1b[2K\x1b[1A\x1b[2Kend\r\n", ["end"]),
        ("kept\rover", ["over"]),
    ],
)
def test_screen_has_what_was_not_erased(written: str, lines: list[str]) -> None:
    assert picture.screen(written) == lines


def test_exit_statuses() -> None:
    rows = _table("| exit | meaning | RPC code |")
    assert [int(row[0]) for row in rows] == [int(status) for status in ExitStatus]
    assert {int(row[0]): row[2] for row in rows} == messages.codes()
    for row in rows:
        meaning = ExitStatus(int(row[0])).meaning
        assert row[1] in (meaning, f"{meaning} (`--renew`)")


def test_quoted_messages_exist() -> None:
    rows = _table("| message | what it means |")
    quoted = [re.findall(r"`([^`]+)`", row[0]) for row in rows]
    assert len(quoted) > 5
    assert [each for one in quoted for each in one if not messages.exists(each)] == []


@pytest.mark.parametrize("text", ["the payer refuses: …", "no such words", "cannot reach it at …"])
def test_messages_that_do_not_exist(text: str) -> None:
    assert not messages.exists(text)


def test_commands_are_understood() -> None:
    """Options and their values are what the command takes."""
    for paper, least in (("README.md", 5), ("docs/lightningd.md", 1), ("docs/recipes.md", 4)):
        examples = _commands(_code((ROOT / paper).read_text(encoding="utf-8")))
        assert len(examples) >= least, paper
        for args in examples:
            cli.command.make_context("sendinvoice", list(args))


@pytest.mark.parametrize("paper", ["README.md", "docs/lightningd.md"])
def test_options_exist(paper: str) -> None:
    options = {name for param in cli.command.params for name in param.opts}
    text = (ROOT / paper).read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    of_lightningd = {"--experimental-offers", "--experimental-onion-messages"}
    of_apt = {"--yes", "--no-install-recommends"}
    assert named - of_lightningd - of_apt <= options


def test_header_of_the_batch() -> None:
    code = _code()
    header = code[code.index("$ cat payouts.csv") + 1]
    assert set(header.split(",")) <= set(COLUMNS)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    papers = "".join(paper.read_text(encoding="utf-8") for paper in _PAPERS)
    targets = set(re.findall(r"(?:^    |`)(?:\S+=\S+ )*make ([a-z][a-z-]*)", papers, re.MULTILINE))
    assert {"demo", "test"} <= targets
    # make test-3.12 is made by a pattern.
    targets = {f"{target}3.%" if target.endswith("-") else target for target in targets}
    assert {target for target in targets if f"\n{target}:" not in makefile} == set()


def test_links_lead_somewhere() -> None:
    for paper in _PAPERS:
        text = paper.read_text(encoding="utf-8")
        for target, heading in re.findall(r"\]\(([^)#:]+)(?:#([^)]*))?\)", text):
            found = paper.parent / target
            assert found.is_file(), f"{paper} links to {target}"
            titles = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            names = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert not heading or heading in names, f"{paper} links to {target}#{heading}"


def test_files_that_are_named_exist() -> None:
    papers = "".join(paper.read_text(encoding="utf-8") for paper in _PAPERS)
    named = set(re.findall(r"`((?:tests|man|completions|docs|src)/[\w./-]*)`", papers))
    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_modules_that_contributing_names_exist() -> None:
    """In its tables, and in the drawing of a request's way, where they stand below their room."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "sendinvoice_cli"
    named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|json))`", text))
    assert len(named) > 40
    assert {
        path for path in named if not (package / path).exists() | (ROOT / path).exists()
    } == set()
    drawn = set(re.findall(r"^     │  (\w+\.py) ", text, re.MULTILINE))
    assert len(drawn) > 3
    assert {name for name in drawn if not (package / "answering" / name).is_file()} == set()


def test_the_same_lightningd_is_advised_everywhere() -> None:
    files = [*_PAPERS, ROOT / "man" / "sendinvoice.1", ROOT / ".github/workflows/lightningd.yml"]
    advised = re.compile(
        r"\[?(v[\d.]+)\S* (?:or later )?is advised|Run (v[\d.]+) or later|lightningd: ?(v26[\d.]+)"
    )
    found = [
        "".join(groups)
        for file in files
        for groups in advised.findall(file.read_text(encoding="utf-8"))
    ]
    assert len(found) == 6
    assert len(set(found)) == 1


def test_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == __version__
    assert all(date for _, date in versions[1:])
