"""The arguments and options of the command, declared for click."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from .help import Argument, Group, Option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _complete_network(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from ..node.rpc.socket_path import NETWORKS

    return [name for name in NETWORKS if name.startswith(incomplete)]


def _complete_path(
    kind: str, _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Have the shell complete a path; ``kind`` is "file" or "dir"."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type=kind)]


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"sendinvoice {__version__}")
        ctx.exit()


def _option(group: Group, *names: str, **attributes: Any) -> Option:
    return Option(names, group=group, **attributes)


def _argument(name: str, about: str) -> Argument:
    return Argument([name], required=False, group=Group.WHAT, about=about)


def _named(name: str, group: Group, **attributes: Any) -> Option:
    """An option for a value that may also be an argument."""
    return _option(
        group,
        f"--{name.replace('_', '-')}",
        f"{name}_option",
        envvar=f"SENDINVOICE_{name.upper()}",
        **attributes,
    )


_flag = partial(_option, is_flag=True)
_file = partial(_option, metavar="FILE", shell_complete=partial(_complete_path, "file"))

# fish shows the help of an option up to its first comma.
PARAMETERS: tuple[click.Parameter, ...] = (
    _argument(
        "invreq", "The request: lnr1..., a bitcoin: URI with lnr=, or - to read it from stdin."
    ),
    _argument("label", "The name that the invoice gets in lightningd. It must be unique."),
    _argument("amount_msat", "Short for --amount-msat. It must be what the request offers."),
    _argument("timeout", "Short for --timeout."),
    _argument("quantity", "Short for --quantity."),
    _named(
        "amount_msat",
        Group.WHAT,
        metavar="AMOUNT",
        help="Ask for 1000 or 1000msat or 1sat or 0.00000001btc instead of what is offered. Payers"
        " may refuse that or pay no more.",
    ),
    _named(
        "quantity",
        Group.WHAT,
        metavar="NUMBER",
        help="How many items when the request leaves that open.",
    ),
    _named(
        "timeout",
        Group.HOW,
        metavar="TIME",
        help="How long to wait for the payment: 90 (seconds) or 10m or 1h or 2d. The invoice"
        " expires then.  [default: 90]",
    ),
    _flag(
        Group.HOW,
        "--dry-run",
        help="Check everything and show what would be sent along which path. Changes nothing.",
    ),
    _flag(
        Group.HOW,
        "--renew",
        help="Replace LABEL's invoice for this request if it has expired unpaid.",
    ),
    _flag(Group.HOW, "--no-connect", help="Never open a connection to another node."),
    _flag(
        Group.HOW,
        "--no-replies",
        help="Do not start the reply helper in lightningd. A refusal then looks like a timeout.",
    ),
    _option(
        Group.NODE,
        "--lightning-dir",
        metavar="DIR",
        shell_complete=partial(_complete_path, "dir"),
        help="lightningd's directory.  [default: ~/.lightning]",
    ),
    _option(
        Group.NODE,
        "--network",
        metavar="NAME",
        shell_complete=_complete_network,
        help="lightningd's network.  [default: bitcoin]",
    ),
    # --help joins options that have the same text.
    *(
        _flag(Group.NODE, f"--{name}", help="Short for --network.")
        for name in ("mainnet", "testnet", "testnet4", "signet", "regtest")
    ),
    _file(
        Group.NODE,
        "--rpc-file",
        help="lightningd's socket. An absolute path is used as it is.  [default: lightning-rpc]",
    ),
    _file(
        Group.NODE,
        "--conf",
        help="Read this configuration file of lightningd instead of those in its directory.",
    ),
    _file(
        Group.BATCH,
        "--batch",
        help="Answer the requests in FILE: JSON Lines or CSV with a header. - is stdin. The columns"
        " are invreq and label and maybe amount_msat and timeout and quantity.",
    ),
    _file(
        Group.BATCH, "--output", help="Append each result of the batch to FILE. They are in JSON."
    ),
    _flag(
        Group.OUTPUT,
        "--json",
        "as_json",
        envvar="SENDINVOICE_JSON",
        help="Print one JSON object for each request.",
    ),
    _flag(
        Group.OUTPUT,
        "-v",
        "--verbose",
        help="Show each step and each call to lightningd and the invoice.",
    ),
    _flag(
        Group.OUTPUT,
        "-q",
        "--quiet",
        help="Show errors and warnings that money may be lost. Nothing else.",
    ),
    _option(
        Group.OUTPUT,
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="When to use colour.",
    ),
    _flag(
        Group.OUTPUT,
        "--version",
        is_eager=True,
        expose_value=False,
        # SENDINVOICE_VERSION may mean anything.
        allow_from_autoenv=False,
        callback=_print_version,
        help="Show the version and exit.",
    ),
)
