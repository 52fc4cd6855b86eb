"""``python -m sendinvoice_cli`` is the command."""

from .cli import main

main()
