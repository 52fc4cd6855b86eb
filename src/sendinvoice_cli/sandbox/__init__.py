"""A stand-in for lightningd: a simulated network of nodes with simulated money.

Each node answers lightningd's JSON-RPC on a real unix socket, and the
cryptography of BOLT 4 and BOLT 12 is real. Tests start it through
:class:`sendinvoice_cli.sandbox.sandbox.Sandbox`, people through the command
``sendinvoice-sandbox``.
"""
