"""The tests, in rooms like those of the code."""

from hypothesis import settings

# A busy machine is no bug: how long an example takes is for the benchmarks to say.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
