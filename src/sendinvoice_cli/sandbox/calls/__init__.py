"""The calls of lightningd's JSON-RPC that the sandbox answers, and their dispatch."""
