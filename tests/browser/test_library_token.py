"""The client library at a gateway that needs a token."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page

from app.simulator import Simulator
from tests.gateway import calling, running_gateway

from .conftest import ConsoleMonitor, in_one_loop, is_connection_refused
from .library_page import create_client, emitted, gateway_for, wait_for_event
from .token_gateway import KEY, is_refusal, mint, needing_token

pytestmark = pytest.mark.asyncio(loop_scope="session")


@in_one_loop
async def endpoint(page: Page, simulator: Simulator, console: ConsoleMonitor) -> AsyncIterator[str]:
    console.is_expected = is_refusal
    async with gateway_for(page, needing_token(simulator)) as url:
        yield url


async def refusal(page: Page) -> dict[str, object]:
    """Connect; return what the client rejects with."""
    found: dict[str, object] = await page.evaluate(
        "nabra.connect().catch((problem) => ({...problem, message: problem.message}))"
    )
    return found


async def test_a_token_names_the_session(page: Page, endpoint: str) -> None:
    """A client that was given no session id takes the token's, and one that was keeps it."""
    await create_client(page, endpoint, token=mint("visit-7"))
    await page.evaluate("nabra.connect()")
    assert await page.evaluate("nabra.sessionId") == "visit-7"
    await create_client(page, endpoint, token=mint("visit-8"), sessionId="visit-8")
    await page.evaluate("nabra.connect()")
    assert await page.evaluate("nabra.sessionId") == "visit-8"


@pytest.mark.parametrize(
    ("token", "session_id", "status", "code"),
    [
        (None, "visit-1", 401, "credential-missing"),
        ("guessed", "visit-1", 401, "token-invalid"),
        ("not a token", "visit-1", 401, "token-invalid"),
        (mint(ttl_s=-60), "visit-1", 401, "token-expired"),
        (mint(), "another", 403, "session-not-yours"),
        (KEY, "no session", 400, "invalid-session-id"),
    ],
    ids=["none", "invalid", "unsendable", "expired", "foreign", "session-id"],
)
async def test_a_refusal_has_the_gateways_status_and_code(
    page: Page, endpoint: str, token: str | None, session_id: str, status: int, code: str
) -> None:
    """It is not tried again; neither error nor event shows the token."""
    await create_client(page, endpoint, token=token, sessionId=session_id)
    rejected = await refusal(page)
    assert (rejected["code"], rejected["recoverable"]) == ("refused", False)
    assert (rejected["status"], rejected["gatewayCode"]) == (status, code)
    assert rejected["message"]
    problem = await wait_for_event(page, kind="problem", gatewayCode=code)
    assert problem["status"] == status
    assert await page.evaluate("nabra.state") == "closed"
    assert token is None or token not in str(await emitted(page))


async def test_a_full_gateway_is_left_alone_for_as_long_as_it_says(
    page: Page, simulator: Simulator, console: ConsoleMonitor
) -> None:
    """Not even a network that comes back makes the client come sooner; its user does."""
    console.is_expected = is_refusal
    async with gateway_for(page, needing_token(simulator, max_sessions=1)) as url:
        async with calling(f"{url}?token={KEY}"):
            await create_client(page, url, token=KEY)
            await page.evaluate("void nabra.connect()")
            problem = await wait_for_event(page, kind="problem", code="too-busy")
            assert (problem["status"], problem["gatewayCode"]) == (503, "too-many-sessions")
            assert problem["retryAfterMs"] == 10_000
            waiting = await wait_for_event(page, kind="state", state="waiting")
            assert 10_000 <= waiting["retryInMs"] <= 13_000
            await page.evaluate("dispatchEvent(new Event('online'))")
            assert await page.evaluate("nabra.state") == "waiting"
        await page.evaluate("nabra.connect()")
        assert await page.evaluate("nabra.state") == "open"


async def test_a_function_is_asked_before_each_connection(
    page: Page, simulator: Simulator, console: ConsoleMonitor
) -> None:
    """It gets the session id, so that the new token is for the same session."""

    def is_expected(entry: str) -> bool:
        # a handshake that fails just before the gateway is back is asked about when it is (426)
        return is_refusal(entry) or is_connection_refused(entry) or "426" in entry

    console.is_expected = is_expected
    settings = needing_token(simulator)
    asked: list[str] = []

    def give(session_id: str) -> str:
        asked.append(session_id)
        return mint(session_id)

    await page.expose_function("giveToken", give)
    async with running_gateway(settings) as url:
        await create_client(page, url)
        await page.evaluate("createClient({ token: async (id) => giveToken(id) })")
        await page.evaluate("nabra.connect()")
        session_id = await page.evaluate("nabra.sessionId")
        assert asked == [session_id]
    await wait_for_event(page, kind="problem", code="server-draining")
    known = len(await emitted(page))
    async with running_gateway(settings, port=urlsplit(url).port or 0):
        greeting = await wait_for_event(page, known, kind="message", type="session")
        assert greeting["session_id"] == session_id
        assert len(asked) > 1
        assert set(asked) == {session_id}
        await page.goto("about:blank")


async def test_a_function_that_fails_is_asked_again(page: Page, endpoint: str) -> None:
    """The server that mints may be out of reach for a while."""
    await create_client(page, endpoint)
    await page.evaluate(
        """(token) => {
          let asked = 0;
          const source = async () => {
            if (++asked === 1) throw new Error("out of reach");
            return token;
          };
          createClient({ token: source });
        }""",
        mint(),
    )
    await page.evaluate("nabra.connect()")
    assert [one["code"] for one in await emitted(page, kind="problem")] == ["connection-lost"]
    assert await page.evaluate("nabra.sessionId") == "visit-1"


async def test_close_ends_the_wait_for_a_token(page: Page, endpoint: str) -> None:
    await create_client(page, endpoint)
    await page.evaluate(
        """() => {
          const asked = new Promise((resolve) => (globalThis.giveToken = resolve));
          createClient({ token: () => asked });
        }"""
    )
    await page.evaluate("void (globalThis.opening = nabra.connect().catch(({ code }) => code))")
    await wait_for_event(page, kind="state", state="connecting")
    await page.evaluate("nabra.close()")
    await page.evaluate("giveToken('guessed')")
    assert await page.evaluate("opening") == "closed"
    assert await page.evaluate("nabra.state") == "closed"
    assert await emitted(page, kind="problem") == []
