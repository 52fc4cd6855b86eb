"""BOLT 4: blinded paths and the payloads of onion messages. Pure.

The onion around the payloads is lightningd's work (``createonion``).
"""
