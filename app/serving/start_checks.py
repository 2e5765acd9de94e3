"""What is checked before a start: what prevents it, and what only looks like a mistake."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from urllib.parse import urlsplit

from app.endpoints import check_endpoints
from app.env_file import ENV_FILE, names_in
from app.options import check_exposure
from app.settings import Settings, load
from app.strategies import PlugIns, load_plugins

MIN_NAME_CHARS = 6
"""Shorter names say too little: `POST` of another program is as close to `PORT` as a slip is."""

MIN_SIMILARITY = 0.81
"""Similarity (`difflib`) from which an unknown name is taken for a slip. Chosen: `HAMSA_KEY` has
0.82 to `HAMSA_API_KEY`; `AGENT_NAME`, which build machines set, has 0.80 to `AGENT_NODE`."""

OTHERS_NAMES = frozenset({"AGENT_ID"})
"""Variables of other programs that are closer to ours than that; build machines set this one."""


def checked_settings() -> tuple[Settings, PlugIns]:
    """Read the settings, check all that can be checked before a start, and build the plug-ins.

    Raises `ConfigurationError` with one line for each mistake.
    """
    settings = load()
    check_endpoints(settings)
    check_exposure(settings)
    return settings, load_plugins(settings)


def start_warnings(settings: Settings) -> list[str]:
    """Return a sentence for each thing that is allowed, but is probably a mistake."""
    names = {*os.environ, *names_in(ENV_FILE)}
    return [
        *misspelled_names(names),
        *_unused_url_warnings(settings),
        *_agent_url_warnings(settings),
        *_agent_token_warnings(settings),
    ]


def misspelled_names(names: Iterable[str]) -> list[str]:
    """Return a sentence for each name that is close to that of a setting, and is none."""
    known = {name.upper() for name in Settings.model_fields}
    return [
        f"{name} is not a setting and has no effect: did you mean {close[0]}?"
        for name in sorted(names)
        if len(name) >= MIN_NAME_CHARS
        and name.upper() not in known | OTHERS_NAMES
        and (close := get_close_matches(name.upper(), known, n=1, cutoff=MIN_SIMILARITY))
    ]


def _unused_url_warnings(settings: Settings) -> list[str]:
    if settings.simulates_speech and "hamsa_ws_url" in settings.model_fields_set:
        return ["HAMSA_WS_URL has no effect without HAMSA_API_KEY: the simulator is used"]
    return []


def _agent_url_warnings(settings: Settings) -> list[str]:
    if settings.agent_webhook_url is None:
        return []
    path = urlsplit(settings.agent_webhook_url).path.rstrip("/")
    if settings.agent_kind == "openai" and path in ("", "/v1"):
        return [
            f"AGENT_WEBHOOK_URL has the path {path or '/'!r}: write the whole URL of the model, "
            "which usually ends in /v1/chat/completions"
        ]
    if not path:
        return [
            "AGENT_WEBHOOK_URL has no path: write the whole URL of the webhook, for n8n "
            "https://…/webhook/…"
        ]
    if "/webhook-test/" in path:
        return [
            "AGENT_WEBHOOK_URL is n8n's test URL, which answers only while its editor listens: "
            "activate the workflow, and write /webhook/ for /webhook-test/"
        ]
    return []


def _agent_token_warnings(settings: Settings) -> list[str]:
    token, header = settings.agent_token, settings.agent_token_header
    if token is None or header.lower() != "authorization" or " " in token.get_secret_value():
        return []
    return [
        "AGENT_TOKEN has no scheme, and is sent as it stands: write `Bearer …` or `Basic …`, or "
        "name the header of a bare key in AGENT_TOKEN_HEADER"
    ]
