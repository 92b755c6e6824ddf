"""OpenTelemetry's SDK and exporters add what `OTEL_*` variables say to what they are given. Here those are meant for
the backend of traces: its token must not go to another one, and `OTEL_SDK_DISABLED` must not empty the own metrics.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_variables() -> Iterator[None]:
    """Hides them."""
    held = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    try:
        for name in held:
            del os.environ[name]
        yield
    finally:
        os.environ.update(held)
