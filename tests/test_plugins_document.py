"""`docs/plugins.md`: each example is written as the text says, and works unchanged."""

import asyncio
import json
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path

import pytest

import nabra
from app.settings import load
from nabra.testing import Conformance
from tests.documents import block, text_of
from tests.gateway import audio_of, calling, of_type, running_gateway
from tests.net.scripted_http1 import Exchange, Script, scripted_http1, whole

MODULES = ("my_tts", "my_stt", "my_agent", "test_my_plugins")
SPEECH = b"\x07\x00" * 24_000 * 4
ANSWER = "أهلاً وسهلاً بك في خدمة العملاء."


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the package of the document, and install it."""
    for code in re.findall(r"^```python\n(.*?)^```$", text_of("plugins.md"), re.M | re.S):
        name = re.match(r"# (\w+\.py)\n", code)
        assert name is not None
        (tmp_path / name[1]).write_text(code, encoding="utf-8")
    installed = tmp_path / "mine-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    groups = block("plugins.md", "toml").replace('project.entry-points."', "").replace('"]', "]")
    (installed / "entry_points.txt").write_text(groups.replace('"', ""))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for module in MODULES:
        sys.modules.pop(module, None)


@asynccontextmanager
async def servers(package: Path) -> AsyncIterator[dict[str, list[Exchange]]]:
    """Serve what the examples ask for, and write `.env` as the document says."""
    replies: dict[str, Script] = {
        "tts": whole(SPEECH),
        "stt": whole(json.dumps({"text": "أين شحنتي؟"}).encode()),
        "agent": whole(ANSWER.encode(), "200 OK", "Content-Type: text/plain; charset=utf-8"),
    }
    async with (
        scripted_http1(replies["tts"]) as tts,
        scripted_http1(replies["stt"]) as stt,
        scripted_http1(replies["agent"]) as agent,
    ):
        env = block("plugins.md", "sh")
        for name, server in (("tts", tts), ("stt", stt), ("agent", agent)):
            env, count = re.subn(rf"https://{name}\.example\.com", server.url, env)
            assert count == 1
        (package / ".env").write_text(env, encoding="utf-8")
        yield {"tts": tts.exchanges, "stt": stt.exchanges, "agent": agent.exchanges}


async def test_the_three_examples_hear_answer_and_speak(package: Path) -> None:
    async with servers(package) as exchanges:
        async with running_gateway(load()) as url, calling(url) as caller:
            await caller.send_audio()
            events = await caller.until("done")
    assert [each["text"] for each in of_type(events, "transcription")] == ["أين شحنتي؟"]
    assert [each["text"] for each in of_type(events, "sentence")] == [ANSWER]
    audio = audio_of(events)
    assert len(audio) / 32_000 == pytest.approx(len(SPEECH) / 48_000, abs=0.01)
    assert not of_type(events, "error")
    spoken = json.loads(exchanges["tts"][0].body)
    assert spoken == {"text": ANSWER, "voice": "Majd"}
    assert exchanges["stt"][0].body.startswith(b"RIFF")
    assert json.loads(exchanges["agent"][0].body)["text"] == "أين شحنتي؟"


@contextmanager
def servers_in_a_thread(package: Path) -> Iterator[None]:
    """Serve beside loops that others run."""
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with servers(package):
            ready.set()
            await stop.wait()

    with asyncio.Runner() as runner:
        thread = threading.Thread(target=lambda: runner.run(serve()))
        thread.start()
        try:
            assert ready.wait(10)
            yield
        finally:
            runner.get_loop().call_soon_threadsafe(stop.set)
            thread.join()


def test_the_tests_that_the_document_shows_pass(package: Path) -> None:
    with servers_in_a_thread(package):
        shown = import_module("test_my_plugins")
        suites = [each for name, each in vars(shown).items() if name.startswith("Test")]
        assert len(suites) == 3
        for suite in suites:
            assert issubclass(suite, Conformance)
            tests = [name for name in dir(suite) if name.startswith("test_")]
            assert len(tests) > 3
            for name in tests:
                getattr(suite(), name)()


def test_the_examples_import_the_public_face_alone(package: Path) -> None:
    for module in MODULES:
        source = (package / f"{module}.py").read_text(encoding="utf-8")
        assert re.search(r"^(from|import) nabra", source, re.MULTILINE)
        assert not re.search(r"^(from|import) app", source, re.MULTILINE)


def test_the_public_face_is_what_it_says() -> None:
    assert sorted(nabra.__all__) == sorted(set(nabra.__all__))
    assert all(hasattr(nabra, name) for name in nabra.__all__)
