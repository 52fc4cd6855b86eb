"""A plugin for a payer: on demand it takes invoices that arrive, so that nothing answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: ``part``: from now on, takes the invoices that hold these bytes (hex; all do when empty).
#: Without it, takes none.
TAKE = "mailbox-take"
#: Those that were taken since then, in hex.
INVOICES = "mailbox-invoices"


class _Mailbox:
    def __init__(self) -> None:
        self.part: str | None = None
        self.invoices: list[str] = []


def main() -> None:
    """Run as a plugin of lightningd."""
    from pyln.client import Plugin

    plugin = Plugin()
    mailbox = _Mailbox()

    def on_message(onion_message: Mapping[str, Any], **_: object) -> dict[str, str]:
        invoice = onion_message.get("invoice")
        if invoice is None or mailbox.part is None or mailbox.part not in invoice:
            return {"result": "continue"}
        mailbox.invoices.append(invoice)
        return {"result": "resolve"}

    def take(part: str | None = None, **_: object) -> dict[str, str]:
        """Used by tests."""
        mailbox.part = part
        mailbox.invoices.clear()
        return {}

    def invoices(**_: object) -> dict[str, list[str]]:
        """Used by tests."""
        return {"invoices": mailbox.invoices}

    # Directly sent ones, and those that came along a blinded path of ours.
    plugin.add_hook("onion_message_recv", on_message, before=["offers"])
    plugin.add_hook("onion_message_recv_secret", on_message, before=["offers"])
    plugin.add_method(TAKE, take)
    plugin.add_method(INVOICES, invoices)
    plugin.run()


if __name__ == "__main__":
    main()
