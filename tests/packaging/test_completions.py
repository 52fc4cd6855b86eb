"""The completions: what is committed is what click makes, and real shells can use it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import click
import pytest
from packaging.version import Version

from sendinvoice_cli.cli import command as cli
from sendinvoice_cli.sandbox import cli as sandbox_cli
from sendinvoice_cli.sandbox.model.family import Family

_ROOT = Path(__file__).parents[2]
_COMPLETIONS = _ROOT / "completions"
_PROMPT = "ready> "
_MODULES = {
    "sendinvoice": "sendinvoice_cli.cli.command",
    "sendinvoice-sandbox": "sendinvoice_cli.sandbox.cli",
}


def test_they_are_what_click_makes(tmp_path: Path) -> None:
    """If this fails, run ``make completions``."""
    committed_with = re.search(
        r"^click==([\d.]+)", (_ROOT / "constraints.txt").read_text(), re.MULTILINE
    )
    assert committed_with is not None
    if Version(metadata.version("click")) < Version(committed_with[1]):
        pytest.skip("this click is older than the one that made them")
    script = _COMPLETIONS / "generate.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=60)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {
        path.name: path.read_text() for path in _COMPLETIONS.iterdir() if path.suffix != ".py"
    }
    committed.pop("__pycache__", None)
    assert len(made) == 6
    assert made == committed


# --- what TAB does to the machine ---

_COMPLETE = """
import json, os, sys

opened = []

def watch(event, args):
    if event.startswith("socket."):
        opened.append(event)

sys.addaudithook(watch)
module, name, words = json.loads(sys.argv[1])
sys.argv = [name]
os.environ[f"_{name}_COMPLETE".replace("-", "_").upper()] = "zsh_complete"
for line in words:
    os.environ.update(COMP_WORDS=" ".join([name, *line]), COMP_CWORD=str(len(line)))
    try:
        __import__(module, fromlist=["main"]).main()
    except SystemExit:
        pass
loaded = {each.split(".")[0] for each in sys.modules} & {"pyln", "rich"}
print(json.dumps([opened, sorted(loaded)]), file=sys.stderr)
"""


def _words(command: click.Command) -> list[list[str]]:
    """The beginning of every option, and of the value of every option and argument."""
    options = [name for param in command.params for name in param.opts if name.startswith("-")]
    return [[], [""], ["-"], ["lnr1", ""], *([o] for o in options), *([o, ""] for o in options)]


@pytest.mark.parametrize(
    ("module", "name", "command"),
    [
        ("sendinvoice_cli.cli.command", "sendinvoice", cli.command),
        ("sendinvoice_cli.sandbox.cli", "sendinvoice-sandbox", sandbox_cli.main),
    ],
)
def test_tab_opens_no_socket_and_loads_little(
    module: str, name: str, command: click.Command
) -> None:
    task = json.dumps([module, name, _words(command)])
    done = subprocess.run(
        [sys.executable, "-c", _COMPLETE, task],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "plain" in done.stdout
    assert "file" in done.stdout or "dir" in done.stdout
    assert json.loads(done.stderr.splitlines()[-1]) == [[], []]


# --- real shells ---


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with the commands on PATH, in an empty home with two files of a batch."""
    for name in ("payouts.csv", "payouts.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "payments").mkdir()
    commands = tmp_path / ".bin"
    commands.mkdir()
    for name, module in _MODULES.items():
        command = commands / name
        script = f"import sys; sys.argv[0] = '{name}'; from {module} import main; main()"
        command.write_text(f'#!/bin/sh\nexec \'{sys.executable}\' -c "{script}" "$@"\n')
        command.chmod(0o755)
    return {
        "HOME": str(tmp_path),
        "PATH": f"{commands}:/usr/local/bin:/usr/bin:/bin",
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "PS1": _PROMPT,
    }


class _Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, master: int) -> None:
        self._master = master

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read_until(self, pattern: str, seconds: float = 20) -> str:
        """What comes until the pattern is found."""
        read = ""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, read):
            ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
            assert ready, f"{pattern!r} did not come, but {read!r}"
            read += os.read(self._master, 65536).decode(errors="replace")
        return read


@contextmanager
def _terminal(command: list[str], environment: dict[str, str]) -> Iterator[_Terminal]:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=environment["HOME"],
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield _Terminal(master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _bash(line: str, environment: dict[str, str]) -> set[str]:
    bash = _shell("bash")
    version = subprocess.run(
        [bash, "-c", "echo ${BASH_VERSINFO[0]}"], capture_output=True, text=True, check=True
    ).stdout
    if int(version) < 4:
        pytest.skip("this bash is too old for programmable completion as click writes it")
    with _terminal([bash, "--norc", "--noprofile", "-i"], environment) as terminal:
        terminal.type("bind 'set enable-bracketed-paste off'; bind 'set bell-style none'\n")
        # Not only what they have in common.
        terminal.type("bind '\"\\t\": insert-completions'\n")
        for name in ("sendinvoice", "sendinvoice-sandbox"):
            terminal.type(f". '{_COMPLETIONS}/{name}.bash'\n")
        terminal.type("echo set'up'\n")
        terminal.read_until(r"setup\r\n.*> ")
        return _press_tab(terminal, line)


def _zsh(line: str, environment: dict[str, str]) -> set[str]:
    with _terminal([_shell("zsh"), "-f", "-i"], environment) as terminal:
        terminal.type("unsetopt beep prompt_cr prompt_sp; unset zle_bracketed_paste\n")
        terminal.type(f"fpath=('{_COMPLETIONS}' $fpath); autoload -Uz compinit; compinit -D -u\n")
        # All of them, not only what they have in common.
        terminal.type("zstyle ':completion:*' completer _all_matches _complete\n")
        terminal.type("zstyle ':completion:*' insert yes\n")
        terminal.type("echo set'up'\n")
        terminal.read_until(r"setup\r\n.*> ")
        return _press_tab(terminal, line)


def _press_tab(terminal: _Terminal, line: str) -> set[str]:
    """The words that TAB has put in place of the last one."""
    # What is typed behind TAB is read once the line is completed; by ^A and
    # ^E the line becomes the arguments of a command that shows them.
    terminal.type(f"{line}\t\x01printf '<%s>' \x05 end\n")
    shown = terminal.read_until("<end>")
    words = re.findall(r"<([^<>]*)>", shown[shown.rindex("<sendinvoice") :])
    typed = len(line.split()) - (not line.endswith(" "))
    return set(words[typed:-1])


def _fish(line: str, environment: dict[str, str]) -> set[str]:
    sources = "".join(f"source '{_COMPLETIONS}/{name}.fish'; " for name in _MODULES)
    done = subprocess.run(
        [_shell("fish"), "--no-config", "-c", f"{sources} complete -C '{line}'"],
        capture_output=True,
        text=True,
        cwd=environment["HOME"],
        env=environment,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    # Each with its description.
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


_SHELLS: dict[str, Callable[[str, dict[str, str]], set[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}


@pytest.mark.parametrize("shell", _SHELLS)
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("sendinvoice --network reg", {"regtest"}),
        ("sendinvoice --network liquid", {"liquid", "liquid-regtest"}),
        ("sendinvoice --color ", {"auto", "always", "never"}),
        ("sendinvoice --batch payo", {"payouts.csv", "payouts.jsonl"}),
        ("sendinvoice lnr1qq label --lightning-dir pay", {"payments"}),
        ("sendinvoice --no-c", {"--no-connect"}),
        ("sendinvoice-sandbox demo --family ", {family.value for family in Family}),
        ("sendinvoice-sandbox de", {"demo"}),
    ],
)
def test_tab(shell: str, line: str, completed: set[str], environment: dict[str, str]) -> None:
    found = _SHELLS[shell](line, environment)
    # Not every shell leaves the slash behind a directory.
    assert {word.rstrip("/") for word in found} == completed
