"""Calls to lightningd, and where its socket is."""
