"""STT by OpenAI's audio API, from a server that follows a script."""

import json
from email.parser import BytesParser
from email.policy import HTTP

import pytest

from app import errors
from app.openai.stt import MAX_RESPONSE_BYTES, OpenAITranscriber
from app.stt.base import Transcriber
from tests.net.scripted_http1 import Exchange, Script, raw, scripted_http1, whole
from tests.openai.servers import built
from tests.stt.utterances import PCM, UTTERANCE


def responds(text: object) -> Script:
    return whole(json.dumps({"text": text}).encode())


async def transcribe(script: Script, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[Exchange]]:
    async with (
        scripted_http1(script) as server,
        built(OpenAITranscriber, Transcriber, server.url, monkeypatch) as transcriber,
    ):
        text: str = await transcriber.transcribe(UTTERANCE)
        return text, server.exchanges


async def test_one_whole_wav_is_sent_in_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    text, (exchange,) = await transcribe(responds("  أين شحنتي؟ "), monkeypatch)
    assert text == "أين شحنتي؟"
    assert exchange.head.startswith(b"POST /v1/audio/transcriptions HTTP/1.1\r\n")
    [content_type] = exchange.fields("content-type")
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts = list(BytesParser(policy=HTTP).parsebytes(head + exchange.body).iter_parts())
    fields = {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in parts
    }
    file = fields.pop("file")
    assert isinstance(file, bytes)
    assert file.startswith(b"RIFF")
    assert file.endswith(PCM)
    assert fields == {
        "model": b"gpt-4o-mini-transcribe",
        "language": b"ar",
        "response_format": b"json",
    }
    assert parts[-1].get_filename() == "utterance.wav"


async def test_after_a_lost_connection_the_request_is_sent_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests = 0

    def drops(times: int) -> Script:
        async def script(exchange: Exchange) -> None:
            nonlocal requests
            requests += 1
            await (raw(b"") if requests <= times else responds("نعم"))(exchange)

        return script

    assert (await transcribe(drops(1), monkeypatch))[0] == "نعم"
    requests = 0
    with pytest.raises(errors.ConnectionLostError):
        await transcribe(drops(2), monkeypatch)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (whole(b"{}"), errors.ProtocolError),
        (whole(b"words"), errors.ProtocolError),
        (responds(7), errors.ProtocolError),
        (whole(b" " * (MAX_RESPONSE_BYTES + 1)), errors.ProtocolError),
        (whole(b"{}", "401 No"), errors.AuthenticationError),
    ],
)
async def test_what_is_no_transcript_is_an_error(
    script: Script, kind: type[errors.ProviderError], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(kind):
        await transcribe(script, monkeypatch)


async def test_warming_up_a_server_without_http2_is_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        scripted_http1(responds("")) as server,
        built(OpenAITranscriber, Transcriber, server.url, monkeypatch) as transcriber,
    ):
        await transcriber.warm_up()
        assert server.connections == 0
        assert await transcriber.transcribe(UTTERANCE) == ""
