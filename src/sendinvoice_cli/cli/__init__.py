"""The command line: from argv to the exit status."""
