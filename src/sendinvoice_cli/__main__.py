"""The entry point, also as ``python -m sendinvoice_cli``."""

from __future__ import annotations

import gc
import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command, and exit."""
    # Until there is something to tell, Ctrl-C ends the process without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Imports leave nothing to collect, and looking for it takes as long as some of them. cli
    # turns collection on again before the work begins.
    gc.disable()
    from . import cli

    cli.main()


if __name__ == "__main__":
    main()
