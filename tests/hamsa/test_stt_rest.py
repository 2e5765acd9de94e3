"""STT over REST, to a server that follows a script."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from app import errors
from app.hamsa.rest import HamsaClient
from app.hamsa.stt_rest import MAX_RESPONSE_BYTES, RestTranscriber
from tests.net.scripted_http2 import Exchange, Http2Server, Script, scripted_http2, silent
from tests.stt.utterances import UTTERANCE, assert_wav


@asynccontextmanager
async def rest_transcriber(
    script: Script, *, timeout_s: float = 5
) -> AsyncIterator[tuple[RestTranscriber, Http2Server]]:
    async with scripted_http2(script) as server:
        client = HamsaClient(server.url, "key", connect_timeout_s=5, http2_prior_knowledge=True)
        try:
            yield RestTranscriber(client, timeout_s=timeout_s), server
            assert "streams=1" not in repr(client)
        finally:
            await client.aclose()


def responds(body: bytes, status: int = 200) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(body, status=status)

    return script


@pytest.mark.parametrize("text", ["أين شحنتي؟", " أين شحنتي؟ \n", "42", "", " "])
async def test_the_transcript_is_read_from_data_text(text: str) -> None:
    body = orjson.dumps({"success": True, "data": {"text": text}})
    async with rest_transcriber(responds(body)) as (transcriber, _):
        assert await transcriber.transcribe(UTTERANCE) == text.strip()


async def test_one_whole_wav_of_16_khz_mono_is_sent() -> None:
    async with rest_transcriber(responds(b'{"data":{"text":"x"}}')) as (transcriber, server):
        await transcriber.transcribe(UTTERANCE)
        exchange = server.exchanges[0]
    assert exchange.headers[":path"] == "/v1/realtime/stt"
    payload = orjson.loads(bytes(exchange.received))
    assert_wav(payload.pop("audioBase64"))
    assert payload == {"language": "ar", "isEosEnabled": True, "eosThreshold": 0.3}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"data":null}',
        b'{"data":[]}',
        b'{"data":"text"}',
        b'{"data":{}}',
        b'{"data":{"text":null}}',
        b'{"data":{"text":7}}',
        b'{"data":{"text":["a"]}}',
        b"\xff\xfe",
        b'{"data":{"text":"' + b"x" * MAX_RESPONSE_BYTES + b'"}}',
        b'{"data":{"text":"a","words":[' + b"[]," * 60_000 + b"0]}}",
    ],
    ids=lambda body: body[:24].decode(errors="replace"),
)
async def test_a_response_of_another_form_is_a_protocol_error(body: bytes) -> None:
    async with rest_transcriber(responds(body)) as (transcriber, _):
        with pytest.raises(errors.ProtocolError):
            await transcriber.transcribe(UTTERANCE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RefusedError),
        (401, errors.AuthenticationError),
        (429, errors.RateLimitedError),
        (500, errors.ProviderUnavailableError),
    ],
)
async def test_an_http_error_is_raised_and_the_request_is_not_sent_again(
    status: int, kind: type[errors.ProviderError]
) -> None:
    async with rest_transcriber(responds(b"", status)) as (transcriber, server):
        with pytest.raises(kind):
            await transcriber.transcribe(UTTERANCE)
        assert len(server.exchanges) == 1


async def test_no_transcript_is_a_timeout() -> None:
    async with rest_transcriber(silent, timeout_s=0.03) as (transcriber, server):
        with pytest.raises(errors.ProviderTimeoutError):
            await transcriber.transcribe(UTTERANCE)
        await server.exchanges[0].until_reset()
        assert len(server.exchanges) == 1


async def test_after_a_lost_connection_the_request_is_sent_once_more() -> None:
    async def drops(exchange: Exchange) -> None:
        if len(server.sockets) <= lost:
            exchange.socket.drop()
        else:
            await exchange.answer(b'{"data":{"text":"x"}}')

    lost = 1
    async with rest_transcriber(drops) as (transcriber, server):
        assert await transcriber.transcribe(UTTERANCE) == "x"
        assert len(server.sockets) == 2
    lost = 2
    async with rest_transcriber(drops) as (transcriber, server):
        with pytest.raises(errors.ConnectionLostError):
            await transcriber.transcribe(UTTERANCE)
        assert len(server.sockets) == 2
