"""The calls of lightningd's JSON-RPC that the sandbox answers."""

from __future__ import annotations

from ..model.family import Family
from . import control, decoding, invoicing, messages, peers, requesting
from .call import Call

_MODULES = (control, decoding, invoicing, messages, peers, requesting)


def calls_of(family: Family) -> dict[str, Call]:
    """The calls of a family of versions, by name."""
    return {
        each.name: each
        for module in _MODULES
        for each in vars(module).values()
        if isinstance(each, Call) and family in each.families
    }
