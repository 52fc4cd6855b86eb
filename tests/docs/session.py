"""The session that README.md shows: recorded from a run, and comparable with another one.

``python -m tests.docs.session`` records it anew (``make session``), and the picture above it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.docs import picture
from tests.docs.mdoc import ROOT

README = ROOT / "README.md"
COMMAND = "sendinvoice-sandbox demo"

_BLOCK = re.compile(rf"(<!-- session: {COMMAND} -->\n\n)(.*?)(<!-- end of session -->)", re.DOTALL)
#: What is different each time, and what stands for it.
_DIFFERENT = (
    (re.compile(r"\b(ln[ir]1)[02-9ac-hj-np-z]{8,}…?"), r"\1…"),
    (re.compile(r"\b(0[23])?[0-9a-f]{64}\b"), "<hex>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+"), "<time>"),
    (re.compile(r"/\S+/sandbox-[^/\s]+|/sandbox-[^/\s]+"), "<directory>"),
)


#: A bolt12 string, of which a reader needs to see no more than how it begins.
_BOLT12 = re.compile(r"\b(ln[ir]1[02-9ac-hj-np-z]{8})[02-9ac-hj-np-z]{20,}")


def record() -> str:
    """Run the command as a person would who sends its output to a file.

    :returns: what it prints, with bolt12 strings cut.
    :raises subprocess.CalledProcessError: it failed.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SENDINVOICE_") and name not in ("FORCE_COLOR", "COLUMNS")
    }
    printed = subprocess.run(
        [sys.executable, "-m", "sendinvoice_cli.sandbox", "demo"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
        env={**inherited, "TZ": "UTC"},
    ).stdout
    return _BOLT12.sub(r"\1…", printed)


def normalise(text: str) -> str:
    """The text without what is different each time."""
    for pattern, replacement in _DIFFERENT:
        text = pattern.sub(replacement, text)
    return text


def shown() -> str:
    """The session in README.md.

    :raises ValueError: there is none.
    """
    found = _BLOCK.search(README.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("README.md has no session")
    lines = found[2].rstrip().splitlines()
    return "".join(f"{line.removeprefix('    ')}\n" for line in lines).removeprefix(
        f"$ {COMMAND}\n"
    )


def _write(session: str) -> None:
    lines = [f"$ {COMMAND}", *session.splitlines()]
    block = "".join(f"    {line}".rstrip() + "\n" for line in lines) + "\n"
    text = README.read_text(encoding="utf-8")
    text, count = _BLOCK.subn(lambda found: found[1] + block + found[3], text)
    if count != 1:
        raise ValueError("README.md has no place for the session")
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write(record())
    picture.PICTURE.write_text(picture.draw(picture.record()), encoding="utf-8")
