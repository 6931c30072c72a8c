"""How Hypothesis runs everywhere: no time limit per example (compiling and busy machines are slow), the same examples
in continuous integration whenever the code is the same."""

import os

from hypothesis import settings

settings.register_profile("curate", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("curate")
