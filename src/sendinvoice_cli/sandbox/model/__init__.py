"""The simulated world: nodes, channels, invoices, payments and messages."""
