"""What lightningd lacks just after a start, and whether it is worth waiting for. Makes no call.

For seconds after a start, a lightningd that answers is behind the chain, or its channel peers are
not back. An invoice made then may name no usable channel, and a payer that tries it remembers that.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import NoRouteError, SendInvoiceError, TimedOutError
from ..node.info import NodeInfo
from ..node.ways.inbound import Inbound

#: Seconds between two looks at what is missing.
POLL_SECONDS = 0.5
#: Seconds to wait for what would help, but is not needed.
PATIENCE_SECONDS = 15
#: Seconds for which an invoice that exists is held back: it may be the last chance to send it.
HOLD_SECONDS = 60


class Missing(NamedTuple):
    """What waiting could bring.

    :param behind: what lightningd says while it is behind the chain.
    :param away: how many channel peers are not connected, or not ready for payments.
    :param is_needed: whether the payment probably fails without it.
    """

    behind: str | None = None
    away: int = 0
    is_needed: bool = True

    def __str__(self) -> str:
        if self.behind is not None:
            return f"lightningd to catch up with the chain ({self.behind})"
        return (
            "a channel peer to connect"
            if self.away == 1
            else f"{self.away} channel peers to connect"
        )

    def error(self) -> SendInvoiceError:
        """The error when it did not come in time; no invoice exists."""
        if self.behind is not None:
            return TimedOutError(
                f"lightningd is still behind the chain ({self.behind}); no invoice was created",
                hint="run the same command again once lightningd has caught up: "
                "'lightning-cli getinfo' shows no warning then",
            )
        return NoRouteError(
            f"this node cannot receive the amount before its channel peers are connected "
            f"({self.away} missing); no invoice was created",
            hint="'lightning-cli listpeerchannels' shows which; run the same command again "
            "once they are back",
        )


def find_missing(node: NodeInfo, inbound: Inbound, amount_msat: int) -> Missing | None:
    """What is worth waiting for before an invoice is made or sent, None when there is nothing."""
    if node.behind is not None:
        return Missing(behind=node.behind)
    if inbound.could_suffice(amount_msat):
        # In parts it may come now, but not from a payer that pays in one part only.
        is_needed = inbound.total_msat < amount_msat
        return Missing(away=len(inbound.away), is_needed=is_needed)
    return None
