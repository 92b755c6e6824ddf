"""Fixtures that load a configuration."""

from collections.abc import Callable

import pytest

from receiver.config import Settings, load
from receiver.errors import ConfigError


@pytest.fixture
def read() -> Callable[..., Settings]:
    """`read(text, sets=[…], NAME="value")`: the settings of one file."""

    def read(text: str = "", sets: tuple[str, ...] = (), **environment: str) -> Settings:
        return load([("a.yaml", text)] if text else [], sets, {"HOME": "/home/me", **environment})

    return read


@pytest.fixture
def refused(read: Callable[..., Settings]) -> Callable[..., list[str]]:
    """`refused(text, sets=[…], NAME="value")`: the lines of the ConfigError that is raised."""

    def refused(text: str = "", sets: tuple[str, ...] = (), **environment: str) -> list[str]:
        with pytest.raises(ConfigError) as error:
            read(text, sets, **environment)
        return str(error.value).splitlines()

    return refused
