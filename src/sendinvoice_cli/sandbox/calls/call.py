"""The parts of a call: its parameters, its function, and its context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..model.family import Family
from ..model.network import Network
from ..model.node import Node
from ..rpc.parameters import Parameter

Result = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """What a call works on.

    :param calls: the node's calls by name, without those of its plugins.
    :param cmd_id: id of the JSON-RPC request.
    :param stop: stops the node once the answer is sent.
    """

    network: Network
    node: Node
    calls: Mapping[str, Call]
    cmd_id: str
    stop: Callable[[], None]


#: Takes the parameters by name, and returns the result.
Run = Callable[[Context, dict[str, Any]], Awaitable[Result]]


@dataclass(frozen=True)
class Call:
    """One call of lightningd's JSON-RPC.

    :param families: the families that have it in this form.
    """

    name: str
    parameters: tuple[Parameter, ...]
    run: Run
    families: Collection[Family]

    @property
    def usage(self) -> str:
        """How ``help`` shows it."""
        # lightningd leaves the space behind the name even without parameters.
        return f"{self.name} {' '.join(parameter.usage for parameter in self.parameters)}"

    @property
    def summary(self) -> str:
        """What it does, for families whose ``help`` has descriptions."""
        return (self.run.__doc__ or "").partition("\n")[0]


def call(
    name: str, *parameters: Parameter, families: Collection[Family] = tuple(Family)
) -> Callable[[Run], Call]:
    """Turn the decorated function into a call."""

    def make(run: Run) -> Call:
        return Call(name, parameters, run, families)

    return make
