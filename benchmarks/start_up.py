"""How long the command takes when there is nothing to send: help, a usage error, a completion."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from .measure import (
    Installation,
    Timed,
    before_option,
    installed,
    machine,
    print_ratios,
    seconds_of,
    take_turns,
)

_COMPLETION = {
    "_SENDINVOICE_COMPLETE": "bash_complete",
    "COMP_WORDS": "sendinvoice --no",
    "COMP_CWORD": "1",
}
BASELINE = "python -c 'import click'"


def start_ups(installation: Installation) -> dict[str, Timed]:
    """What to measure of an installation."""
    label, command = installation.label, installation.command
    return {
        label("sendinvoice --help"): partial(seconds_of, [command, "--help"]),
        label("a usage error"): partial(seconds_of, [command, "lnr1qq"], expected=2),
        label("one completion"): partial(seconds_of, [command], env=_COMPLETION),
    }


@click.command()
@click.option("--rounds", default=40, show_default=True, help="How often each is measured.")
@before_option
def main(rounds: int, before: Path | None) -> None:
    """Compare --help, a usage error and one completion with an import of click."""
    with installed(before) as installations:
        python = installations[0].python
        timed: dict[str, Timed] = {BASELINE: partial(seconds_of, [python, "-c", "import click"])}
        for installation in installations:
            timed |= start_ups(installation)
        found = take_turns(timed, rounds)
    print(f"{machine()}; {rounds} rounds\n")
    print_ratios(found, BASELINE)


if __name__ == "__main__":
    main()
