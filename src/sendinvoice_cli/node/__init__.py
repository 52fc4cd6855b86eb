"""Everything that speaks to lightningd."""
