"""``python -m sendinvoice_cli.sandbox`` is the command ``sendinvoice-sandbox``."""

from .cli import main

main()
