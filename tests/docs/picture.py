"""The picture of a terminal in README.md: a run in a pseudo-terminal, drawn by rich as SVG.

``python -m tests.docs.session`` makes it anew (``make session``).
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from xml.etree import ElementTree

from rich.ansi import AnsiDecoder
from rich.console import Console

from sendinvoice_cli.sandbox.model.topology import line
from sendinvoice_cli.sandbox.sandbox import Sandbox, lightning_options
from tests.docs.mdoc import ROOT

PICTURE = ROOT / "docs" / "session.svg"

_WIDTH, _HEIGHT = 80, 24
_CONTROL = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|\r?\n|\r)")
#: The fonts that rich has the viewer fetch.
_FONT_FACES = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def record() -> list[str]:
    """Answer a request on a terminal.

    :returns: what is on the screen in the end, line by line, with escape sequences for colour.
    """
    with Sandbox(line()) as sandbox:
        request = sandbox.request("alice", 5_000_000, "Refund for order 4711")
        options = lightning_options(sandbox, "carol")
        shown = _run([sys.executable, "-m", "sendinvoice_cli", *options, request, "refund-4711"])
    return [f"$ sendinvoice {request[:12]}… refund-4711", *screen(shown)]


def _run(command: list[str]) -> str:
    """What a command writes to a terminal; its exit status must be 0."""
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _HEIGHT, _WIDTH, 0, 0))
    settings = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "TZ": "UTC", "HOME": "/"}
    utf8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env={**settings, **utf8}
    )
    os.close(terminal)
    written = b""
    with suppress(OSError):  # Linux tells so that the terminal is closed
        while data := os.read(ours, 4096):
            written += data
    os.close(ours)
    assert process.wait() == 0, written
    return written.decode()


def screen(written: str) -> list[str]:
    """What a terminal shows after this was written to it: what was erased is gone.

    It knows what rich uses: colours, carriage returns, erased lines, and the cursor going up.
    """
    lines, row, is_at_start = [""], 0, True
    for part in _CONTROL.split(written):
        if part.endswith("\n"):
            row, is_at_start = row + 1, True
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            is_at_start = True
        elif part.endswith("A") and part.startswith("\x1b["):
            row -= int(part[2:-1])
        elif part.startswith("\x1b[") and part.endswith("K"):
            lines[row] = ""
        elif part and (not part.startswith("\x1b[") or part.endswith("m")):
            lines[row] = part if is_at_start else lines[row] + part
            is_at_start = False
    while lines and not lines[-1]:
        lines.pop()
    return lines


def draw(lines: list[str]) -> str:
    """A terminal with these lines, as SVG. It needs nothing from the network."""
    console = Console(
        record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    for text in AnsiDecoder().decode("\n".join(lines)):
        console.print(text)
    drawn = console.export_svg(title="sendinvoice", unique_id="session")
    return _FONT_FACES.sub("", drawn)


def text_of(drawn: str) -> str:
    """The text in a picture, line by line."""
    found: dict[float, str] = {}
    for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text"):
        if "clip-path" in element.attrib:
            y = float(element.attrib["y"])
            found[y] = found.get(y, "") + (element.text or "")
    lines = (found[y].replace("\xa0", " ").rstrip() for y in sorted(found))
    return "\n".join(lines)
