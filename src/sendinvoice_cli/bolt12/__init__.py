"""BOLT 12: strings, TLV streams, signatures, invoice_requests, invoices.

Pure: bytes in, values out. No I/O and no clock; times are parameters.
"""
