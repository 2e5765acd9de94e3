"""TTS by OpenAI's audio API, from a server that follows a script."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from app import errors
from app.audio import AudioFormat, wav_header
from app.openai.client import error_from_status
from app.openai.tts import OpenAITransport
from app.transports.base import TTSTransport
from app.transports.policy import Policy
from app.transports.resilient import ResilientTransport
from tests.net.scripted_http1 import END, HEAD, Exchange, Script, chunk, scripted_http1, whole
from tests.openai.servers import built
from tests.transports.fakes import (
    SPEECH,
    OneAttempt,
    audio_before_error,
    chunks_of,
    speak,
    speech_request,
)

PCM_24K = AudioFormat("pcm_s16le", 24_000)


async def test_the_request_names_model_voice_and_pcm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_TTS_VOICE", "sage")
    async with (
        scripted_http1(whole(SPEECH, "200 OK", "X-Request-Id: req_7")) as server,
        built(OpenAITransport, TTSTransport, server.url, monkeypatch) as transport,
    ):
        async with OneAttempt(transport) as attempt:
            assert attempt.format == PCM_24K
            assert b"".join(await chunks_of(attempt)) == SPEECH
        assert attempt.record.connection == "new"
        assert attempt.record.request_id == "req_7"
        await speak(transport)
    first = server.exchanges[0]
    assert first.head.startswith(b"POST /v1/audio/speech HTTP/1.1\r\n")
    assert first.fields("authorization") == ["Bearer sk-openai-0123456789"]
    assert json.loads(first.body) == {
        "model": "gpt-4o-mini-tts",
        "voice": "sage",
        "response_format": "pcm",
        "input": speech_request().text,
    }


async def test_a_wav_header_is_removed_and_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = AudioFormat("pcm_s16le", 22_050)
    async with (
        scripted_http1(whole(wav_header(given, None) + SPEECH)) as server,
        built(OpenAITransport, TTSTransport, server.url, monkeypatch) as transport,
        OneAttempt(transport) as attempt,
    ):
        assert attempt.format == given
        assert b"".join(await chunks_of(attempt)) == SPEECH


async def cut(exchange: Exchange) -> None:
    await exchange.send(HEAD, chunk(SPEECH[:6400]))
    await asyncio.sleep(0.05)
    exchange.writer.close()


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (whole(b"{}", "307 Moved", "Location: http://127.0.0.1:9/"), errors.ConnectError),
        (whole(b"x", "200 OK", "Content-Encoding: gzip"), errors.ProtocolError),
        (whole(b"not json", "500 Oops"), errors.ProviderUnavailableError),
        (cut, errors.ConnectionLostError),
    ],
)
async def test_what_goes_wrong_is_an_error_of_ours(
    script: Script, kind: type[errors.ProviderError], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        scripted_http1(script) as server,
        built(OpenAITransport, TTSTransport, server.url, monkeypatch) as transport,
    ):
        await audio_before_error(transport, kind)


async def test_a_refusal_has_the_id_that_the_server_gave_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = whole(b"{}", "500 Oops", "X-Request-Id: req_8")
    async with (
        scripted_http1(refusal) as server,
        built(OpenAITransport, TTSTransport, server.url, monkeypatch) as transport,
    ):
        with capture_logs() as lines, pytest.raises(errors.ProviderUnavailableError):
            await speak(ResilientTransport([transport], Policy(attempts=1)))
    (line,) = (each for each in lines if each["event"] == "attempt")
    assert line["upstream_request_id"] == "req_8"


async def test_a_server_that_is_not_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_http1(whole()) as server:
        url = server.url
    async with built(OpenAITransport, TTSTransport, url, monkeypatch) as transport:
        await transport.warm_up()
        await audio_before_error(transport, errors.ConnectError)


async def test_an_abandoned_sentence_closes_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = asyncio.Event()

    async def endless(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(SPEECH[:6400]))
        await exchange.gone()
        gone.set()
        await exchange.send(END)

    async with (
        scripted_http1(endless) as server,
        built(OpenAITransport, TTSTransport, server.url, monkeypatch) as transport,
    ):
        async with OneAttempt(transport):
            pass
        await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_api_key", errors.AuthenticationError),
        (403, "", errors.AuthenticationError),
        (429, "insufficient_quota", errors.QuotaExceededError),
        (402, "", errors.QuotaExceededError),
        (429, "rate_limit_exceeded", errors.RateLimitedError),
        (408, "", errors.ProviderUnavailableError),
        (400, "server_error", errors.ProviderUnavailableError),
        (503, "", errors.ProviderUnavailableError),
        (400, "invalid_request_error", errors.RefusedError),
        (404, "model_not_found", errors.RefusedError),
    ],
)
def test_a_status_and_its_code_are_one_error(
    status: int, code: str, kind: type[errors.ProviderError]
) -> None:
    body = json.dumps({"error": {"code": code or None, "message": "because"}}).encode()
    error = error_from_status(status, body, {"retry-after": "7"})
    assert type(error) is kind
    assert "because" in str(error)
    if isinstance(error, errors.RateLimitedError):
        assert error.retry_after_s == 7


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"error": "no"}', b"<html>"])
def test_an_error_without_a_reason_is_one_all_the_same(body: bytes) -> None:
    assert str(error_from_status(500, body, {})) == "provider returned HTTP 500"
