"""A plugin for a receiver: on demand it keeps payments in flight."""

from __future__ import annotations

from typing import Any

#: From now on, keeps payments.
HOLD = "hold-payments"
#: Lets those go on that it has, and takes none any more.
RELEASE = "release-payments"
#: How many it has.
HELD = "held-payments"


def main() -> None:
    """Run as a plugin of lightningd."""
    from pyln.client import Plugin

    plugin = Plugin()
    waiting: list[Any] = []
    is_holding = False

    def on_htlc(request: Any, **_: object) -> None:
        if is_holding:
            waiting.append(request)
        else:
            request.set_result({"result": "continue"})

    def hold(**_: object) -> dict[str, str]:
        """Used by tests."""
        nonlocal is_holding
        is_holding = True
        return {}

    def release(**_: object) -> dict[str, str]:
        """Used by tests."""
        nonlocal is_holding
        is_holding = False
        while waiting:
            waiting.pop().set_result({"result": "continue"})
        return {}

    def held(**_: object) -> dict[str, int]:
        """Used by tests."""
        return {"payments": len(waiting)}

    plugin.add_hook("htlc_accepted", on_htlc, background=True)
    plugin.add_method(HOLD, hold)
    plugin.add_method(RELEASE, release)
    plugin.add_method(HELD, held)
    plugin.run()


if __name__ == "__main__":
    main()
