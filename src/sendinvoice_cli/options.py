"""The arguments and options of the command, declared for click."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

from . import __version__
from .help import Argument, Group, Option

_F = TypeVar("_F", bound=Callable[..., Any])

#: The same text for each, so that --help shows them in one row.
_SHORT = "Short for --network."

_argument = partial(click.argument, cls=Argument, required=False)
_option = partial(click.option, cls=Option)


def _parsed_by(
    function: str,
) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """A click callback that reads a value with a function of request.py."""

    def parse(ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
        if value is None or ctx.resilient_parsing:
            return None
        from . import request

        parsed: int = getattr(request, function)(value)
        return parsed

    return parse


_amount = _parsed_by("parse_amount")
_timeout = _parsed_by("parse_timeout")
_quantity = _parsed_by("parse_quantity")


def _complete_network(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from .node.socket_path import NETWORKS

    return [name for name in NETWORKS if name.startswith(incomplete)]


_DECLARATIONS = (
    _argument(
        "invreq",
        group=Group.WHAT,
        about="The request: lnr1..., a bitcoin: URI with lnr=, or - to read it from stdin.",
    ),
    _argument(
        "label",
        group=Group.WHAT,
        about="The name that the invoice gets in lightningd. It must be unique.",
    ),
    _argument(
        "amount_msat",
        callback=_amount,
        group=Group.WHAT,
        about="What to ask for: 1000, 1000msat, 1sat or 0.00000001btc.  [default: what the request"
        " offers]",
    ),
    _argument(
        "timeout",
        callback=_timeout,
        group=Group.HOW,
        about="How many seconds to wait, and for how long the invoice can be paid.  [default: 90]",
    ),
    _argument(
        "quantity",
        callback=_quantity,
        group=Group.WHAT,
        about="How many items, when the request leaves that open.",
    ),
    _option(
        "--amount-msat",
        "amount_msat_option",
        group=Group.WHAT,
        callback=_amount,
        metavar="AMOUNT",
        envvar="SENDINVOICE_AMOUNT_MSAT",
        help="The same as AMOUNT_MSAT.",
    ),
    _option(
        "--quantity",
        "quantity_option",
        group=Group.WHAT,
        callback=_quantity,
        metavar="NUMBER",
        envvar="SENDINVOICE_QUANTITY",
        help="The same as QUANTITY.",
    ),
    _option(
        "--timeout",
        "timeout_option",
        group=Group.HOW,
        callback=_timeout,
        metavar="SECONDS",
        envvar="SENDINVOICE_TIMEOUT",
        help="The same as TIMEOUT.",
    ),
    _option(
        "--dry-run",
        group=Group.HOW,
        is_flag=True,
        help="Check everything, and show what would be sent along which path. Changes nothing.",
    ),
    _option(
        "--renew",
        group=Group.HOW,
        is_flag=True,
        help="If LABEL's invoice for this request has expired unpaid, replace it with a new one.",
    ),
    _option(
        "--no-connect",
        group=Group.HOW,
        is_flag=True,
        help="Never open a connection to another node.",
    ),
    _option(
        "--no-replies",
        group=Group.HOW,
        is_flag=True,
        help="Do not start the reply helper in lightningd. A refusal then looks like a timeout.",
    ),
    _option(
        "--lightning-dir",
        group=Group.NODE,
        type=click.Path(file_okay=False),
        metavar="DIR",
        help="lightningd's directory.  [default: ~/.lightning]",
    ),
    _option(
        "--network",
        group=Group.NODE,
        metavar="NAME",
        shell_complete=_complete_network,
        help="lightningd's network.  [default: bitcoin]",
    ),
    *(
        _option(f"--{name}", group=Group.NODE, is_flag=True, help=_SHORT)
        for name in ("mainnet", "testnet", "testnet4", "signet", "regtest")
    ),
    _option(
        "--rpc-file",
        group=Group.NODE,
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="lightningd's socket. An absolute path is used as it is.  [default: lightning-rpc]",
    ),
    _option(
        "--batch",
        group=Group.BATCH,
        type=click.Path(dir_okay=False, allow_dash=True),
        metavar="FILE",
        help="Answer many requests: JSON Lines, or CSV with a header (invreq, label, amount_msat,"
        " timeout, quantity). - is stdin.",
    ),
    _option(
        "--output",
        group=Group.BATCH,
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Append each result of the batch to FILE, as JSON.",
    ),
    _option(
        "--json",
        "as_json",
        group=Group.OUTPUT,
        is_flag=True,
        envvar="SENDINVOICE_JSON",
        help="Print one JSON object for each request.",
    ),
    _option(
        "-v",
        "--verbose",
        group=Group.OUTPUT,
        is_flag=True,
        help="Show each step, and each call to lightningd.",
    ),
    _option("-q", "--quiet", group=Group.OUTPUT, is_flag=True, help="Show errors only."),
    _option(
        "--color",
        group=Group.OUTPUT,
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="When to use colour.",
    ),
    click.version_option(
        __version__,
        cls=Option,
        group=Group.OUTPUT,
        prog_name="sendinvoice",
        message="%(prog)s %(version)s",
    ),
)


def add_options(function: _F) -> _F:
    """Give a function all of them, before it becomes a click command."""
    for declare in reversed(_DECLARATIONS):
        function = declare(function)
    return function
