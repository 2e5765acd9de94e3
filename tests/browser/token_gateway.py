"""A gateway that needs a token, and tokens for it."""

import re
from typing import Any

from app.api.token_claims import TokenClaims
from app.api.tokens import TokenMint
from app.settings import Settings
from app.simulator import Simulator
from tests.gateway import settings_for

KEY = "a-key-of-a-server-0123456789"


def needing_token(simulator: Simulator, **changes: Any) -> Settings:
    return settings_for(simulator, client_keys=f"shop:{KEY}", **changes)


def mint(session_id: str = "visit-1", *, ttl_s: float = 3600, subject: str = "shop") -> str:
    """Mint a token as the gateway does."""
    claims = TokenClaims(subject, session_id)
    return TokenMint.from_keys({"shop": KEY}).mint(claims, ttl_s=ttl_s)[0]


def is_refusal(entry: str) -> bool:
    """Tell whether a console entry is the browser's own about a refused request or handshake."""
    is_status = re.search(r"(status of|response code:) (400|401|403|503)", entry)
    return is_status is not None or "HTTP Authentication failed" in entry
