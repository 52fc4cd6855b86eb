"""Which calls a node has."""

from __future__ import annotations

from typing import Any

from .. import params
from ..family import Family
from ..params import optional
from . import decode, general, invoices, messages, network, requests
from .call import Call, Context, Result

_EVERY = (
    *general.CALLS,
    *network.CALLS,
    *invoices.CALLS,
    *requests.CALLS,
    *messages.CALLS,
    *decode.CALLS,
)


def calls_of(family: Family) -> dict[str, Call]:
    """The calls of a family of versions, by name."""
    calls = {call.name: call for call in _EVERY if family in call.families}

    async def explain(context: Context, args: dict[str, Any]) -> Result:
        return await general.explain(context, args, calls)

    calls["help"] = Call(
        "help", (optional("command", params.string),), explain, "Show calls, or one of them"
    )
    return calls
