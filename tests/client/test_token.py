"""`connect_client` and `nabra talk` at a gateway that needs a token."""

import asyncio
import http
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from app.api.token_claims import TokenClaims
from app.api.tokens import TokenMint
from app.cli import commands
from app.client.client import ClientError, connect_client
from tests.client.fake_gateway import ignore
from tests.gateway import instant_simulator, running_gateway, settings_for

KEY = "a-key-of-a-server-0123456789"


@asynccontextmanager
async def gateway(**changes: object) -> AsyncIterator[str]:
    """Run a gateway that needs a credential; yield its URL."""
    async with instant_simulator() as simulator:
        settings = settings_for(simulator, client_keys=f"shop:{KEY}", **changes)
        async with running_gateway(settings) as url:
            yield url


def mint(ttl_s: float = 60) -> str:
    token, _ = TokenMint.from_keys({"shop": KEY}).mint(TokenClaims("shop", "s"), ttl_s=ttl_s)
    return token


async def refusal(url: str, token: str | None, session_id: str | None = None) -> str:
    with pytest.raises(ClientError) as caught:
        async with connect_client(url, token=token, session_id=session_id):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_key_and_a_token_open_a_session() -> None:
    async with gateway() as url:
        for credential in (KEY, mint()):
            async with connect_client(url, token=credential) as client:
                assert (await client.send_text("مرحبا", ignore)).text


async def test_what_a_refused_client_is_told() -> None:
    """Message and code are the gateway's; the token is not shown."""
    expired = mint(-60)
    async with gateway() as url:
        assert "HTTP 401, credential-missing: a key or a token is needed" in await refusal(
            url, None
        )
        assert "HTTP 401, token-expired: the token has expired" in await refusal(url, expired)
        assert "HTTP 403, session-not-yours: " in await refusal(url, mint(), session_id="other")
        told = await refusal(url, "guessed-token")
    assert "HTTP 401, token-invalid: the token is not valid" in told
    assert "guessed-token" not in told


async def test_a_full_gateway_says_when_to_come_back() -> None:
    async with gateway(max_sessions=1) as url, connect_client(url, token=KEY):
        told = await refusal(url, KEY)
    assert told.endswith("HTTP 503, too-many-sessions: the gateway is full; try again in 10 s")


async def test_a_refusal_that_quotes_the_token_is_masked() -> None:
    """What is printed cannot steer the terminal either."""

    def refuse(connection: ServerConnection, request: Request) -> Response:
        shown = request.headers["Authorization"]
        body = f'{{"code": "no", "message": "\\u001b[2J {shown}"}}'
        return connection.respond(http.HTTPStatus(401), body)

    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        told = await refusal(f"ws://127.0.0.1:{port}/ws/agent/", "secret-token")
    assert told.endswith("HTTP 401, no:  [2J Bearer …")


async def test_a_redirect_does_not_get_the_token() -> None:
    async with gateway() as url:
        elsewhere = f"http://localhost:{urlsplit(url).port}/ws/agent/"

        def redirect(connection: ServerConnection, _: Request) -> Response:
            response = connection.respond(http.HTTPStatus(307), "")
            response.headers["Location"] = elsewhere
            return response

        async with serve(
            lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=redirect
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            assert "HTTP 307" in await refusal(f"ws://127.0.0.1:{port}/ws/agent/", KEY)


@pytest.mark.parametrize("token", ["two words", "line\r\nX-Injected: 1", "رمز"])
async def test_a_token_that_no_header_holds(token: str) -> None:
    """It is refused before anything is sent, and is not shown."""
    told = await refusal("ws://127.0.0.1:1/ws/agent/", token)
    assert told == "the token must be ASCII without blanks: copy it again"


@pytest.mark.parametrize("from_environment", [False, True])
async def test_talk_takes_the_token(from_environment: bool) -> None:
    """The option and the environment variable do the same; without them the refusal is told."""
    credential = mint()
    option = [] if from_environment else ["--token", credential]
    environment = {"NABRA_TOKEN": credential} if from_environment else {}
    async with gateway() as url:
        arguments = ["talk", "--text", "مرحبا", "--url", url]
        invoke = CliRunner().invoke
        result = await asyncio.to_thread(invoke, commands, arguments + option, env=environment)
        refused = await asyncio.to_thread(invoke, commands, arguments)
    assert result.exit_code == 0, result.output
    assert "Agent: " in result.output
    assert refused.exit_code == 1
    assert "HTTP 401, credential-missing" in refused.stderr
