"""What takes more than a line of nodes, on the sandbox and on real lightningd."""
