"""What ``--help`` shows: arguments and options in groups, then examples."""

from __future__ import annotations

from enum import Enum
from itertools import groupby
from typing import IO, Any

import click

from ..errors import UsageError

#: Columns of the output, margin included; less on narrower terminals.
WIDTH = 80
#: Longest name that still shares a line with its text, in characters.
_LONGEST_NAME = 28


class Group(Enum):
    """The groups, in the order in which they are shown. The man page has the same."""

    WHAT = "What to answer"
    HOW = "How long and how"
    NODE = "The node"
    BATCH = "Many at once"
    OUTPUT = "Output"


EXAMPLES = (
    ("sendinvoice lnr1qqg... refund-4711", "Answer a request, and wait 90 seconds."),
    ("sendinvoice --dry-run lnr1qqg... refund-4711", "Check everything, change nothing."),
    (
        "sendinvoice --batch payouts.csv --output results.jsonl",
        "Answer many requests, and keep every result.",
    ),
)

#: Hint for a label whose words became arguments.
QUOTES = "quote a label that has blanks: sendinvoice lnr1qqg... 'refund 4711'"

_EXIT_STATUSES = "Exit status: 0 paid, 2 usage, 12 expired, 13 no route, 14 refused, 15 timed out"
_MORE = "The man page, sendinvoice(1), explains these and all others, and the JSON."


class Argument(click.Argument):
    """An argument with a line in one of the groups."""

    def __init__(self, *args: Any, group: Group, about: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group
        self.about = about

    def get_help_record(self, _ctx: click.Context) -> tuple[str, str]:
        """The name in capitals, and its line of help."""
        return (self.name or "").upper(), self.about


class Option(click.Option):
    """An option in one of the groups."""

    def __init__(self, *args: Any, group: Group, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


class NoArgumentsError(click.ClickException):
    """No arguments; the message is the usage."""

    exit_code = click.UsageError.exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(self.message, file, err=True)


class Command(click.Command):
    """A command whose parameters are all of the two classes above."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line.

        :raises NoArgumentsError: it has no arguments.
        :raises UsageError: it has more than there are names for.
        """
        is_empty = not args
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            raise UsageError(f"too many words: {' '.join(rest)}", hint=QUOTES)
        # A file for --batch may come from the environment.
        if is_empty and not ctx.resilient_parsing and ctx.params["batch"] is None:
            raise NoArgumentsError(
                f"{ctx.get_usage()}\n\n"
                "sendinvoice --help          explains the arguments and the options\n"
                "sendinvoice-sandbox demo    shows a payment on a simulated network"
            )
        return rest

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the two ways to call it."""
        arguments = "INVREQ LABEL [AMOUNT_MSAT] [TIMEOUT] [QUANTITY]"
        formatter.write_usage(ctx.command_path, f"[OPTIONS] {arguments}")
        formatter.write_usage(ctx.command_path, "[OPTIONS] --batch FILE", prefix=" " * 7)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group."""
        params = self.get_params(ctx)
        for group in Group:
            # click adds --help by itself.
            rows = [
                record
                for param in params
                if getattr(param, "group", Group.OUTPUT) is group
                and (record := param.get_help_record(ctx)) is not None
            ]
            rows = _merged(rows)
            # A longer name has a line to itself.
            column = max(len(name) for name, _ in rows if len(name) <= _LONGEST_NAME)
            with formatter.section(group.value):
                formatter.write_dl(rows, col_max=column)

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then what scripts ask for."""
        with formatter.section("Examples"):
            for at, (command, meaning) in enumerate(EXAMPLES):
                if at:
                    formatter.write_paragraph()
                formatter.write_text(meaning)
                with formatter.indentation():
                    formatter.write(f"{'':{formatter.current_indent}}{command}\n")
        formatter.write(f"\n{_EXIT_STATUSES}\n{_MORE}\n")


def _merged(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Join neighbouring rows that have the same help."""
    return [
        (", ".join(name for name, _ in same), help_)
        for help_, same in groupby(rows, key=lambda row: row[1])
    ]
