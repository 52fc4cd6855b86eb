"""Write click's completion scripts for both commands, for bash, zsh and fish.

    python completions/generate.py [DIRECTORY]

The directory is this one by default. ``make completions`` runs it, and a test
holds what is committed against it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from click import Command
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from sendinvoice_cli.cli.command import command
from sendinvoice_cli.sandbox.cli import main as sandbox

_COMMANDS: dict[str, Command] = {"sendinvoice": command, "sendinvoice-sandbox": sandbox}
#: The name of a command's file in each shell.
_SHELLS: dict[type[ShellComplete], str] = {
    BashComplete: "{}.bash",
    ZshComplete: "_{}",
    FishComplete: "{}.fish",
}


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, of in _COMMANDS.items():
        variable = f"_{name}_complete".replace("-", "_").upper()
        for shell, file_name in _SHELLS.items():
            script = ShellComplete.source(shell(of, {}, name, variable))
            (directory / file_name.format(name)).write_text(script.strip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
