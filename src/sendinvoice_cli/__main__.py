"""The entry point, also as ``python -m sendinvoice_cli``."""

from __future__ import annotations

import gc
import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command, and exit."""
    # While imports go on, Ctrl-C ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Imports leave no garbage, but the collector would take as long as some of them. The command
    # turns it on again before the work begins.
    gc.disable()
    from .cli import command as cli

    cli.main()


if __name__ == "__main__":
    main()
