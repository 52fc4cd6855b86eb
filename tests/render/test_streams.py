"""Streams that are closed, broken, limited to ASCII, or drawn on."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.text import Text

from sendinvoice_cli.errors import UsageError
from sendinvoice_cli.render import lines
from sendinvoice_cli.render.console import draw, make_console
from sendinvoice_cli.render.streams import Streams, silence

from .kept_streams import Terminal


def test_closed_streams_swallow_output_and_refuse_input() -> None:
    streams = Streams(None, None, None)
    streams.write_line(streams.stdout, "a result")
    lines.print_error(streams, "an error")
    make_console(streams, stderr=True).print("text")
    with pytest.raises(UsageError, match="standard input is closed"):
        _ = streams.stdin


@pytest.mark.parametrize("stderr", [False, True])
def test_characters_outside_the_encoding_are_escaped(stderr: bool) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    streams = Streams(None, stream, stream)
    streams.write_line(streams.stderr if stderr else streams.stdout, "us → them")
    make_console(streams, stderr=stderr).print("₿")
    assert written.getvalue() == b"us \\u2192 them\n\\u20bf\n"


def test_stderr_is_silent_after_a_write_failure() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        streams = Streams(None, None, full)
        lines.print_error(streams, "x" * 100_000, "a hint")
        make_console(streams, stderr=True).print("text")
        assert os.path.samestat(os.fstat(full.fileno()), os.stat(os.devnull))


def test_stdout_fails_when_full_until_it_is_silenced() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        streams = Streams(None, full, None)
        with pytest.raises(OSError, match="No space"):
            streams.write_line(streams.stdout, "a result")
        silence(streams.stdout)
        streams.write_line(streams.stdout, "a result")


@pytest.mark.parametrize(("no_color", "color"), [(None, None), ("", None), ("1", False)])
def test_no_color_turns_colour_off_unless_empty(
    monkeypatch: pytest.MonkeyPatch, no_color: str | None, color: bool | None
) -> None:
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert Streams.of_process().color is color


def test_lines_go_above_the_drawing_and_results_into_the_file() -> None:
    """The drawing would overwrite them, and a file would contain its escape sequences."""
    terminal, file = Terminal(), io.StringIO()
    streams = Streams(None, file, terminal)
    stop = draw(
        streams, make_console(streams, stderr=True), lambda: Text("numbers"), per_second=0.001
    )
    before = len(terminal.getvalue())
    lines.print_line(streams, "a line")
    streams.write_line(streams.stdout, "a result")
    drawn = terminal.getvalue()[before:]
    stop()
    after = len(terminal.getvalue())
    lines.print_line(streams, "the end")
    assert drawn.index("a line") < drawn.index("numbers")
    assert terminal.getvalue()[after:] == "sendinvoice: the end\n"
    assert file.getvalue() == "a result\n"
