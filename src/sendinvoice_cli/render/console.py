"""The one way in which rich is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def make_console(*, stderr: bool = False, color: bool | None = None) -> Console:
    """A console that takes text as it is: no markup, no emoji codes, nothing highlighted.

    :param color: True for colour wherever it goes, False for no escape
        sequence that changes how text looks, None to decide by the terminal.
    """
    from rich.console import Console

    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True if color else None,
        no_color=False if color else None,
        color_system=None if color is False else "standard" if color else "auto",
    )
