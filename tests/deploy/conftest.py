"""The certificate that the tests of our HTTP make, for the proxies."""

from tests.net.conftest import certificate, no_proxy

__all__ = ["certificate", "no_proxy"]
