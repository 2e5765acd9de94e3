"""What a message must be to be one of those that the models describe."""

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from app.api.clients.native.server_messages import ServerMessage

_ADAPTER: TypeAdapter[ServerMessage] = TypeAdapter(
    Annotated[ServerMessage, Field(discriminator="type")]
)


def assert_fits(message: dict[str, Any]) -> None:
    """Raise `ValidationError` unless a message fits its model: every field, and no other."""
    _ADAPTER.validate_json(json.dumps(message), strict=True, extra="forbid")
