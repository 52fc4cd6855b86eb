"""What a call is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from ..family import Family
from ..network import Network
from ..node import Node
from ..params import Parameter

Result = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """Where a call is made.

    :param cmd_id: the id of the request.
    :param stop: has the node stop, once the answer is out.
    """

    network: Network
    node: Node
    cmd_id: str
    stop: Callable[[], None]


@dataclass(frozen=True)
class Call:
    """One call.

    :param run: takes the parameters by name, and returns the result.
    :param summary: what it does, for versions whose ``help`` tells.
    :param families: the versions that have it in this form.
    :param is_free: it takes any parameters, and looks at them itself.
    """

    name: str
    parameters: tuple[Parameter, ...]
    run: Callable[[Context, dict[str, Any]], Awaitable[Result]]
    summary: str
    families: Collection[Family] = tuple(Family)
    is_free: bool = False

    @property
    def usage(self) -> str:
        """How ``help`` shows it."""
        # lightningd leaves the space behind the name even without parameters.
        return f"{self.name} {' '.join(parameter.usage for parameter in self.parameters)}"
