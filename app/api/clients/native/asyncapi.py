"""Makes `docs/asyncapi.json` of the models: the native protocol for machines, in AsyncAPI 3.0."""

import ast
import inspect
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, get_args

import orjson
from pydantic import BaseModel
from pydantic.json_schema import (
    GenerateJsonSchema,
    JsonSchemaMode,
    JsonSchemaValue,
    models_json_schema,
)
from pydantic_core.core_schema import ModelSchema

from app import __version__
from app.api.access import SESSION_ID
from app.api.clients.native.client_messages import ClientMessage
from app.api.clients.native.server_messages import ServerMessage

REF_TEMPLATE = "#/components/schemas/{model}"

CLIENT_MODELS: tuple[type[BaseModel], ...] = get_args(ClientMessage)
SERVER_MODELS: tuple[type[BaseModel], ...] = get_args(ServerMessage)

BINARY_FRAMES = {
    "input_audio": "A binary frame: samples of the input stream, in the configured `input` format.",
    "output_audio": "A binary frame in place of `tts_chunk`, with `framing: binary`: samples in "
    "the format of `tts_start`.",
}
"""What has no model, and what it is."""


class _SchemaGenerator(GenerateJsonSchema):
    """Describes fields by their docstrings, without titles that only repeat their names.

    pydantic can use docstrings by itself, but would look for them at each start of the gateway,
    which takes 50 ms.
    """

    def field_title_should_be_set(self, schema: object) -> bool:
        """Return whether a field has a title."""
        return False

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """Return the schema of a model."""
        described = super().model_schema(schema)
        for name, text in _field_docs(schema["cls"]).items():
            described["properties"][name]["description"] = text
        return described


def document() -> dict[str, Any]:
    """Return the whole description."""
    sent = [*map(_type_of, CLIENT_MODELS), "input_audio"]
    received = [*map(_type_of, SERVER_MODELS), "output_audio"]
    binary = {name: _binary_frame(name, summary) for name, summary in BINARY_FRAMES.items()}
    messages = {_type_of(model): _message(model) for model in (*CLIENT_MODELS, *SERVER_MODELS)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Nabra",
            "version": __version__,
            "description": "The client protocol. What the messages mean, and in which order they "
            "come, is told by docs/protocol.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {"session": _channel((*sent, *received))},
        "operations": {
            # of the gateway: what clients send, it receives
            "receive": _operation("receive", sent),
            "send": _operation("send", received),
        },
        "components": {"messages": messages | binary, "schemas": _schemas()},
    }


def text() -> str:
    """Return the description as it stands in the file."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _channel(names: Iterable[str]) -> dict[str, Any]:
    return {
        "address": "/ws/agent/{session_id}/",
        "summary": "One WebSocket is one session.",
        "parameters": {
            "session_id": {"description": f"Matches {SESSION_ID.pattern}; a new one if left out."}
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _operation(action: str, names: Iterable[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/session"},
        "messages": [{"$ref": f"#/channels/session/messages/{name}"} for name in names],
    }


def _message(model: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": _type_of(model),
        "summary": (model.__doc__ or "").strip(),
        "payload": {"$ref": REF_TEMPLATE.format(model=model.__name__)},
    }


def _binary_frame(name: str, summary: str) -> dict[str, Any]:
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }


def _schemas() -> dict[str, Any]:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in CLIENT_MODELS),
        *((model, "serialization") for model in SERVER_MODELS),
    ]
    _, schema = models_json_schema(
        models, ref_template=REF_TEMPLATE, schema_generator=_SchemaGenerator
    )
    schemas: dict[str, Any] = schema["$defs"]
    return schemas


def _field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a model's fields, by the names of the fields."""
    docs = {}
    for each in reversed(model.__mro__):
        if each is BaseModel or not issubclass(each, BaseModel):
            continue
        (definition,) = ast.parse(inspect.getsource(each)).body
        assert isinstance(definition, ast.ClassDef)
        for statement, after in pairwise(definition.body):
            match statement, after:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    docs[name] = " ".join(text.split())
    return docs


def _type_of(model: type[BaseModel]) -> str:
    """Return the wire's `type` of a message."""
    name: str = get_args(model.model_fields["type"].annotation)[0]
    return name


if __name__ == "__main__":
    sys.stdout.write(text())
