"""What is known of the provider's transports before a request: of a socket, and of the account."""

from app import errors
from app.hamsa.provider import NAMES, HamsaOptions, HamsaProvider
from app.transports.resilient import ResilientTransport
from tests.transports.fakes import FakeTransport

NOWHERE = HamsaOptions("ws://127.0.0.1:9", "http://127.0.0.1:9", "key")


async def test_a_refused_account_concerns_all_its_transports_and_no_other_provider() -> None:
    provider = HamsaProvider(NOWHERE, transcript_timeout_s=1.0)
    transports = [provider.transport(name) for name in NAMES]
    other = FakeTransport([], "other")
    alone, beside = ResilientTransport(transports), ResilientTransport([*transports, other])
    for open_error, usable in [
        (None, [True, True]),
        (errors.ConnectError("no socket"), [False, True]),
        (errors.AuthenticationError("no"), [False, False]),
    ]:
        provider.pool.open_error = open_error
        assert [transport.is_usable(0.0) for transport in transports] == usable
        assert (alone.is_usable(0.0), beside.is_usable(0.0)) == (any(usable), True)
    await provider.client.aclose()
