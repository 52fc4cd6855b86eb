"""Enough of a reader of mdoc(7) to compare the man pages with the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_PUNCTUATION = set(",.:;()|")
#: Macros that may stand inside of a line, and end the arguments of the one before.
_MACROS = {"Ar", "Cm", "Em", "Ev", "Fl", "Ic", "Li", "No", "Ns", "Op", "Pa", "Pq", "Ql", "Ta", "Xr"}


class Flag(NamedTuple):
    """An option as an item introduces it: its name, and what its value is called."""

    name: str
    value: tuple[str, ...]


class Page:
    """One man page, as lines of macros."""

    def __init__(self, name: str) -> None:
        self.path = ROOT / "man" / f"{name}.1"
        self.source = self.path.read_text(encoding="utf-8")
        # A macro that is spread over lines counts as one.
        joined = re.sub(
            r"\.It Xo\n(.*?)\n\.Xc",
            lambda found: ".It " + found[1].lstrip(".").replace("\n.", " "),
            self.source,
            flags=re.DOTALL,
        )
        self.lines = joined.splitlines()

    def section(self, title: str) -> list[str]:
        """The lines of a section, without its heading."""
        start = self.lines.index(f".Sh {title}") + 1
        end = start
        while end < len(self.lines) and not self.lines[end].startswith(".Sh "):
            end += 1
        return self.lines[start:end]

    @property
    def os(self) -> str:
        """What the footer says: name and version."""
        return next(_words(line)[1] for line in self.lines if line.startswith(".Os"))

    def subsections(self, title: str) -> dict[str, list[str]]:
        """The lines of each subsection of a section, by its heading."""
        found: dict[str, list[str]] = {}
        for line in self.section(title):
            if line.startswith(".Ss "):
                found[line[4:]] = []
            elif found:
                found[next(reversed(found))].append(line)
        return found

    def introduced_flags(self) -> list[Flag]:
        """The options that have an item of a list."""
        return self.flags_of(self.lines)

    def flags_of(self, lines: list[str]) -> list[Flag]:
        """The options that have an item of a list in these lines."""
        return [
            flag
            for line in lines
            if line.startswith(".It Fl ")
            for flag in _flags(_words(line)[1:])
        ]

    def mentioned_flags(self) -> set[str]:
        """All options that occur anywhere, examples and free text included."""
        mentioned = {flag.name for line in self.lines for flag in _flags(_words(line))}
        for line in self.lines:
            if not line.startswith(".Fl"):
                mentioned |= set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", line))
        return mentioned

    def tagged(self, title: str, macro: str) -> list[tuple[str, ...]]:
        """For each item of a section that begins with ``macro``: its words."""
        return [
            tuple(word for word in words[2:] if word not in _PUNCTUATION)
            for line in self.section(title)
            if (words := _words(line))[:2] == [".It", macro]
        ]

    def columns(self, title: str) -> list[list[str]]:
        """The rows of a section's table, without the header."""
        rows = []
        for line in self.section(title):
            words = _words(line)
            if words[:1] == [".It"] and "Ta" in words and "Em" not in words:
                cells = " ".join(word or "\0" for word in words[1:]).split(" Ta ")
                rows.append([cell.replace("\0", "") for cell in cells])
        return rows


def _words(line: str) -> list[str]:
    if not line.startswith("."):
        return []
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _flags(words: list[str]) -> list[Flag]:
    """The options among the words of a line: ``Fl v , -verbose``, ``Fl -color Ar auto``."""
    found: list[Flag] = []
    macro = ""
    for word in words:
        if word.lstrip(".") in _MACROS:
            macro = word.lstrip(".")
        elif word in _PUNCTUATION:
            continue
        elif macro == "Fl":
            found.append(Flag(f"-{word}", ()))
        elif macro in ("Ar", "Cm") and found:
            found[-1] = Flag(found[-1].name, (*found[-1].value, word))
    return found
