"""The certificate that the tests of our HTTP make, for the proxies, and a simulator."""

from tests.api.conftest import simulator
from tests.net.conftest import certificate, no_proxy

__all__ = ["certificate", "no_proxy", "simulator"]
