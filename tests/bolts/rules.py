"""What the BOLTs ask of us, in our own words, each with the test that shows it or why none does.

The BOLTs as of March 2026. We read invoice_requests that answer no offer, write invoices and
onion messages, and make the blinded paths in both. What lightningd alone can do, such as to
unwrap a payment's onion, is lightningd's.
"""

from __future__ import annotations

from typing import NamedTuple

from .bolt04 import MESSAGES_READ, MESSAGES_WRITTEN, PATHS_READ, PATHS_WRITTEN, PAYMENT_PATHS
from .bolt12 import ERRORS_READ, INVOICES_WRITTEN, REQUESTS_READ, STRINGS_READ
from .rule import Row


class Section(NamedTuple):
    """A part of a BOLT that asks something of us.

    :param bolt: its number.
    :param title: of the section.
    :param role: which of the section's readers and writers we are.
    """

    bolt: int
    title: str
    role: str
    rows: tuple[Row, ...]


SECTIONS = (
    Section(12, "Encoding", "reader of a string", STRINGS_READ),
    Section(12, "Invoice Requests", "reader, without an offer", REQUESTS_READ),
    Section(12, "Invoices", "writer", INVOICES_WRITTEN),
    Section(12, "Invoice Errors", "reader", ERRORS_READ),
    Section(4, "Route Blinding", "writer of a blinded_path", PATHS_WRITTEN),
    Section(4, "Route Blinding", "reader of a blinded_path", PATHS_READ),
    Section(4, "Payload format", "creator of a payment's encrypted_recipient_data", PAYMENT_PATHS),
    Section(4, "Onion Messages", "writer", MESSAGES_WRITTEN),
    Section(4, "Onion Messages", "final reader", MESSAGES_READ),
)
