"""Hides `OTEL_*` variables from OpenTelemetry's SDK and exporters, which read them in addition to their arguments. Here
they are for the backend of the traces: its token must not go to the backend of the metrics, and `OTEL_SDK_DISABLED`
must not disable this program's metrics.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_variables() -> Iterator[None]:
    """Removes all `OTEL_*` variables from the environment within the block."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    try:
        for name in hidden:
            del os.environ[name]
        yield
    finally:
        os.environ.update(hidden)
