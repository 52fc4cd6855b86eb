"""Fuzzing of what strangers send; run by hand, see README.md."""
