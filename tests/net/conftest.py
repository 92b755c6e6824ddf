"""Shared by the tests of addresses and TLS."""

from tests.support.certificates import certificates  # noqa: F401
