"""`docs/asyncapi.json`, the models, `docs/protocol.md` and what is really sent are the same."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from app.api.clients.native import asyncapi
from app.simulator import Simulator
from tests.api.clients.models import assert_fits
from tests.gateway import Caller, Event, running_gateway, settings_for

DOCS = Path(__file__).parents[3] / "docs"
FILE = DOCS / "asyncapi.json"
NOT_CAUSED = {"speech_started", "speech_stopped", "output_audio", "data"}
"""What the conversation below does not cause; other tests compare it with the models."""


def references(node: object) -> Iterator[str]:
    """Yield the target of each `$ref`."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(document: dict[str, Any], reference: str) -> object:
    node: Any = document
    for name in reference.removeprefix("#/").split("/"):
        node = node[name]
    return node


def document() -> dict[str, Any]:
    """Read the file, which is made anew only once: that takes half a second."""
    read: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return read


def message_types(operation: str) -> set[str]:
    messages = document()["operations"][operation]["messages"]
    return {each["$ref"].rpartition("/")[2] for each in messages}


def test_the_file_is_what_the_models_say() -> None:
    """After a change: `make asyncapi`."""
    assert FILE.read_text(encoding="utf-8") == asyncapi.text()


def test_every_reference_leads_somewhere() -> None:
    whole = document()
    found = set(references(whole))
    assert len(found) > 50
    assert all(resolved(whole, reference) for reference in found)


def test_every_message_to_clients_is_documented() -> None:
    text = (DOCS / "protocol.md").read_text(encoding="utf-8")
    table = text.partition("## From the server")[2].partition("\n## ")[0].partition("\nA turn,")[0]
    rows = re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)
    assert set(re.findall(r"`([a-z_]+)`", "".join(rows))) == message_types("send") - {
        "output_audio"
    }


def test_a_field_that_is_left_out_is_not_described_as_null() -> None:
    schemas = document()["components"]["schemas"]
    status = schemas["StatusMessage"]
    assert status["properties"]["turn"] == {
        "type": "integer",
        "description": "Absent outside a turn.",
    }
    assert "turn" not in status["required"]
    assert schemas["AudioMessage"]["required"] == ["audio_base64"]
    assert "additionalProperties" not in status, "fields may be added"


async def test_what_is_sent_fits_the_models(simulator: Simulator) -> None:
    events: list[Event] = []
    async with (
        running_gateway(settings_for(simulator)) as url,
        connect(url, compression=None, proxy=None) as socket,
    ):
        caller = Caller(socket)
        await caller.send({"type": "ping", "id": 1})
        await caller.send({"type": "dance", "id": "d"})
        await caller.send({"type": "configure", "language": "en"})
        await caller.send_audio()
        events += await caller.until("done")
        await caller.send({"type": "playback", "turn": 2, "played_ms": 0})
        await caller.send({"type": "text", "text": "مرحبا"})
        events += await caller.until("tts_chunk")
        await caller.send({"type": "interrupt"})
        events += await caller.until("interrupted")
    for event in events:
        assert_fits(event)
    assert {event["type"] for event in events} == message_types("send") - NOT_CAUSED
