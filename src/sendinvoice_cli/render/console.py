"""The only setup of rich."""

from __future__ import annotations

import os
from collections.abc import Callable
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from .streams import Streams

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def make_console(streams: Streams, *, stderr: bool = False) -> Console:
    """A console that prints text as it is: no markup, no emoji codes, no highlighting.

    ``--color always`` colours stdout even if it is not a terminal, but not stderr.
    """
    from rich.console import Console

    color = None if stderr and streams.color else streams.color
    return Console(
        file=streams.stderr if stderr else streams.stdout,
        # rich takes a COLUMNS of 0, which means "unknown", for a width.
        width=get_terminal_size().columns if os.environ.get("COLUMNS") == "0" else None,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True if color else None,
        no_color=False if color else None,
        color_system=None if color is False else "standard" if color else "auto",
    )


def draw(
    streams: Streams, console: Console, render: Callable[[], RenderableType], *, per_second: float
) -> Callable[[], None]:
    """Show something that changes, below the lines that are printed meanwhile.

    :param render: returns what to show.
    :param per_second: how often to refresh it.
    :returns: a function that removes it from the screen.
    """
    from rich.live import Live
    from rich.text import Text

    live = Live(
        console=console,
        get_renderable=render,
        transient=True,
        refresh_per_second=per_second,
        redirect_stdout=False,
        redirect_stderr=False,
    )

    def stop() -> None:
        live.stop()
        streams.print_above = None

    streams.print_above = lambda line: console.print(Text(line))
    try:
        live.start()
    except BaseException:
        # A signal must not leave the cursor hidden.
        stop()
        raise
    return stop
