"""JSON-RPC as lightningd speaks it: framing, sockets, parameters, errors."""
