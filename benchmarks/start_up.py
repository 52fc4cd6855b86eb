"""How long the command takes where it has nothing to do: help, a usage error, a completion."""

from __future__ import annotations

import sys
from functools import partial

import click

from .measure import executable, machine, print_ratios, seconds_of, take_turns

_COMPLETION = {
    "_SENDINVOICE_COMPLETE": "bash_complete",
    "COMP_WORDS": "sendinvoice --no",
    "COMP_CWORD": "1",
}
BASELINE = "python -c 'import click'"


@click.command()
@click.option("--rounds", default=40, show_default=True, help="How often each is measured.")
def main(rounds: int) -> None:
    """Compare --help, a usage error and one completion with an import of click."""
    command = executable()
    found = take_turns(
        {
            BASELINE: partial(seconds_of, [sys.executable, "-c", "import click"]),
            "sendinvoice --help": partial(seconds_of, [command, "--help"]),
            "a usage error": partial(seconds_of, [command, "lnr1qq"], expected=2),
            "one completion": partial(seconds_of, [command], env=_COMPLETION),
        },
        rounds,
    )
    print(f"{machine()}; {rounds} rounds\n")
    print_ratios(found, BASELINE)


if __name__ == "__main__":
    main()
