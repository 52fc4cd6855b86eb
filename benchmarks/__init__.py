"""How fast the command is, and how it grows. Scripts; nothing here is run by pytest."""
