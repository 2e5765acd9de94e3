"""Settings in groups: who may come in, what is masked in the log, and which room gets a bound."""

from typing import Any

import pytest

from app.agents.built_in import AgentOptions
from app.errors import ConfigurationError
from app.hamsa.connection import MAX_TRAILING_AUDIO_S
from app.net.limits import HttpLimits
from app.options import (
    access_options,
    agent_options,
    check_exposure,
    describe_access,
    http_limits,
    secrets_of,
    speech_options,
)
from app.settings import Settings
from app.text.sentence_splitter import MAX_CHARS
from app.transports.policy import StreamLimits

KEY = "sk-hamsa-0123456789"
REAL = {"hamsa_api_key": KEY}
ALL = "0.0.0.0"


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "values",
    [
        {},
        REAL,
        {"host": "localhost", **REAL},
        {"host": "::1", **REAL},
        {"host": ALL},
        {"host": ALL, **REAL, "allow_anonymous": True},
        {"host": ALL, **REAL, "client_keys": "shop:0123456789abcdef"},
        {"host": ALL, **REAL, "client_jwt_secret": "s" * 32},
        {"host": ALL, **REAL, "client_jwks_url": "https://id.example/jwks"},
    ],
)
def test_the_gateway_may_start_where_nobody_else_pays(values: dict[str, Any]) -> None:
    check_exposure(settings(**values))


@pytest.mark.parametrize(
    "spendable", [REAL, {"agent_webhook_url": "https://n8n.example/webhook/x"}]
)
def test_strangers_must_not_spend_what_the_operator_pays_for(spendable: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as told:
        check_exposure(settings(host=ALL, **spendable))
    for line in ("CLIENT_KEYS=", "CLIENT_JWT_SECRET=", "ALLOW_ANONYMOUS=true", "HOST=127.0.0.1"):
        assert line in str(told.value)
    assert KEY not in str(told.value)


@pytest.mark.parametrize(
    ("values", "anonymous", "open_metrics"),
    [
        (REAL, True, True),
        ({**REAL, "client_keys": "0123456789abcdef"}, False, True),
        ({"host": ALL}, True, True),
        ({"host": ALL, "client_keys": "0123456789abcdef"}, False, False),
        ({"host": ALL, **REAL, "allow_anonymous": True}, True, False),
    ],
)
def test_a_credential_is_asked_for_where_one_is_configured(
    values: dict[str, Any], anonymous: bool, open_metrics: bool
) -> None:
    access = access_options(settings(**values))
    assert (access.anonymous, access.open_metrics) == (anonymous, open_metrics)
    assert ("key" in describe_access(settings(**values))) is not anonymous


def test_every_credential_is_masked_with_and_without_what_stands_before_it() -> None:
    chosen = settings(
        **REAL,
        agent_token="Bearer agent-token-1",
        client_keys="shop:0123456789abcdef",
        client_jwt_secret="s" * 32,
        metrics_token="scraper-1",
    )
    secrets = secrets_of(chosen)
    for each in (KEY, "agent-token-1", "0123456789abcdef", "s" * 32, "scraper-1"):
        assert each in secrets


def test_each_bound_on_provider_and_agent_is_in_the_group_of_its_room() -> None:
    chosen = settings(
        http_max_header_line_bytes=2000,
        http_max_head_bytes=5000,
        http_max_headers=20,
        http_max_informational=3,
        http2_max_control_frames_per_s=400,
        agent_max_line_bytes=6000,
        tts_max_ms_per_char=700,
    )
    assert http_limits(chosen) == HttpLimits(2000, 5000, 20, 3, 400)
    assert agent_options(chosen).parser.max_line_bytes == 6000
    assert speech_options(chosen).policy.streams.max_ms_per_char == 700


def test_without_a_setting_each_room_has_its_own_default() -> None:
    chosen = settings()
    assert http_limits(chosen) == HttpLimits()
    assert agent_options(chosen).parser.max_line_bytes == AgentOptions().parser.max_line_bytes
    assert speech_options(chosen).policy.streams == StreamLimits()
    assert chosen.hamsa_max_trailing_audio_s == MAX_TRAILING_AUDIO_S
    assert chosen.tts_max_sentence_chars == MAX_CHARS
