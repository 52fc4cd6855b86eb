"""Many requests: the rows of a file, and how they take turns."""
