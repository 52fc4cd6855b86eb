"""The arguments and options of the command, declared for click."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

from .. import __version__
from .help import Argument, Group, Option

_F = TypeVar("_F", bound=Callable[..., Any])

_argument = partial(click.argument, cls=Argument, required=False)
_what, _how, _node, _batch, _output = (
    partial(click.option, cls=Option, group=group) for group in Group
)


def _parsed_by(
    function: str,
) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """A click callback that reads a value with a function of request.py."""

    def parse(ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
        if value is None or ctx.resilient_parsing:
            return None
        from .. import request

        parsed: int = getattr(request, function)(value)
        return parsed

    return parse


_amount = _parsed_by("parse_amount")
_timeout = _parsed_by("parse_timeout")
_quantity = _parsed_by("parse_quantity")


def _complete_network(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from ..node.rpc.socket_path import NETWORKS

    return [name for name in NETWORKS if name.startswith(incomplete)]


def _same_as(name: str, declare: Callable[..., Any], **attributes: Any) -> Any:
    """An option for a value that may also be an argument."""
    return declare(
        f"--{name.replace('_', '-')}",
        f"{name}_option",
        envvar=f"SENDINVOICE_{name.upper()}",
        help=f"The same as {name.upper()}.",
        **attributes,
    )


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
        about="How long to wait, and how long the invoice can be paid: 90 (seconds), 10m, 1h or 2d."
        "  [default: 90]",
    ),
    _argument(
        "quantity",
        callback=_quantity,
        group=Group.WHAT,
        about="How many items, when the request leaves that open.",
    ),
    _same_as("amount_msat", _what, callback=_amount, metavar="AMOUNT"),
    _same_as("quantity", _what, callback=_quantity, metavar="NUMBER"),
    _same_as("timeout", _how, callback=_timeout, metavar="SECONDS"),
    _how(
        "--dry-run",
        is_flag=True,
        help="Check everything, and show what would be sent along which path. Changes nothing.",
    ),
    _how(
        "--renew",
        is_flag=True,
        help="If LABEL's invoice for this request has expired unpaid, replace it with a new one.",
    ),
    _how("--no-connect", is_flag=True, help="Never open a connection to another node."),
    _how(
        "--no-replies",
        is_flag=True,
        help="Do not start the reply helper in lightningd. A refusal then looks like a timeout.",
    ),
    _node(
        "--lightning-dir",
        type=click.Path(file_okay=False),
        metavar="DIR",
        help="lightningd's directory.  [default: ~/.lightning]",
    ),
    _node(
        "--network",
        metavar="NAME",
        shell_complete=_complete_network,
        help="lightningd's network.  [default: bitcoin]",
    ),
    # --help joins options that have the same text.
    *(
        _node(f"--{name}", is_flag=True, help="Short for --network.")
        for name in ("mainnet", "testnet", "testnet4", "signet", "regtest")
    ),
    _node(
        "--rpc-file",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="lightningd's socket. An absolute path is used as it is.  [default: lightning-rpc]",
    ),
    _batch(
        "--batch",
        type=click.Path(dir_okay=False, allow_dash=True),
        metavar="FILE",
        help="Answer many requests: JSON Lines, or CSV with a header (invreq, label, amount_msat,"
        " timeout, quantity). - is stdin.",
    ),
    _batch(
        "--output",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Append each result of the batch to FILE, as JSON.",
    ),
    _output(
        "--json",
        "as_json",
        is_flag=True,
        envvar="SENDINVOICE_JSON",
        help="Print one JSON object for each request.",
    ),
    _output(
        "-v",
        "--verbose",
        is_flag=True,
        help="Show each step, each call to lightningd, and the invoice.",
    ),
    _output(
        "-q", "--quiet", is_flag=True, help="Show errors only, and warnings that money may be lost."
    ),
    _output(
        "--color",
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
    """Add all arguments and options to a function, before it becomes a click command."""
    for declare in reversed(_DECLARATIONS):
        function = declare(function)
    return function
