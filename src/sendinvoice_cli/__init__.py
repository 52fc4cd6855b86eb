"""sendinvoice: answer a BOLT 12 invoice_request through your own Core Lightning node."""

__version__ = "0.1.0"
