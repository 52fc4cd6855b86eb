"""What only real nodes can tell. Everything else is in the conformance suite."""
