"""What the tests of addresses and TLS share."""

from tests.support.certificates import certificates  # noqa: F401
