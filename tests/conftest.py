"""Root fixtures: how much Hypothesis tries, and a log that each test finds as the first one did. The deep profile looks
for defects, the default guards against them.
"""

import logging
import os

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "ci",
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=_SLOW,
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # CI tells that a law is broken; `make deep` shrinks the example
)
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "dev", max_examples=600, deadline=None, suppress_health_check=_SLOW, phases=[Phase.reuse, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def log_of_the_process():
    """`run` and `build --endpoint` set up the log of their process, which here is the tests'."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
