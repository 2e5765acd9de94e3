"""What a start warns of: names that are no settings, and addresses and tokens that look wrong."""

import os
from pathlib import Path
from typing import Any

import pytest

from app.serving.start_checks import misspelled_names, start_warnings
from tests.gateway import GivenSettings

SECRET = "secret-token-of-the-test"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that sets nothing, and a directory without `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in tuple(os.environ):
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("TTS_SPEKER", "TTS_SPEAKER"),
        ("HAMSA_KEY", "HAMSA_API_KEY"),
        ("HAMSA_APIKEY", "HAMSA_API_KEY"),
        ("CLIENT_KEY", "CLIENT_KEYS"),
        ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("tts_speeker", "TTS_SPEAKER"),
        ("AGENT_WEBHOOK", "AGENT_WEBHOOK_URL"),
    ],
)
def test_a_name_that_is_nearly_that_of_a_setting_is_told(name: str, setting: str) -> None:
    assert misspelled_names([name]) == [
        f"{name} is not a setting and has no effect: did you mean {setting}?"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "TTS_SPEAKER", "tts_speaker",  # settings
        "PATH", "HOME", "HOSTNAME", "LANG", "LC_ALL", "POST", "SHELL", "LOGNAME", "TERM",
        "HTTP_PROXY", "NO_PROXY", "NABRA_TOKEN", "PYTHONPATH", "PYTHONUNBUFFERED",
        "AGENT_NAME", "AGENT_ID", "AGENT_VERSION", "CLIENT_ID", "SSH_CLIENT", "OTEL_LOG_LEVEL",
        "NABRA_SERVICE_HOST", "NABRA_SERVICE_PORT", "NABRA_PORT", "KUBERNETES_PORT_443_TCP_PORT",
        "UNKNOWN",
    ],
)  # fmt: skip
def test_variables_of_other_programs_are_left_alone(name: str) -> None:
    assert misspelled_names([name]) == []


def test_the_names_of_the_file_and_of_the_environment_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("# TTS_ATEMPTS=1\nTTS_DIALEKT=egy\nUNKNOWN=1\n")
    monkeypatch.setenv("HAMSA_APIKEY", SECRET)
    warnings = start_warnings(GivenSettings())
    assert [warning.split()[0] for warning in warnings] == ["HAMSA_APIKEY", "TTS_DIALEKT"]
    assert SECRET not in str(warnings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"agent_webhook_url": "https://n8n.example"}, "AGENT_WEBHOOK_URL has no path"),
        ({"agent_webhook_url": "https://n8n.example/?a=b"}, "AGENT_WEBHOOK_URL has no path"),
        ({"agent_webhook_url": "https://n8n.example/webhook-test/1"}, "write /webhook/ for"),
        (
            {
                "agent_kind": "openai",
                "agent_model": "m",
                "agent_webhook_url": "https://model.example/v1/",
            },
            "AGENT_WEBHOOK_URL has the path '/v1'",
        ),
        ({"agent_token": SECRET}, "AGENT_TOKEN has no scheme"),
        ({"hamsa_ws_url": "wss://hamsa.example/ws"}, "HAMSA_WS_URL has no effect"),
    ],
)
def test_what_is_probably_a_mistake_is_told_in_a_sentence(
    settings: dict[str, Any], reason: str
) -> None:
    (warning,) = start_warnings(GivenSettings(**settings))
    assert reason in warning
    assert SECRET not in warning


def test_what_is_as_it_should_be_is_not_mentioned() -> None:
    usual: dict[str, Any] = {
        "agent_webhook_url": "https://n8n.example/webhook/1",
        "hamsa_api_key": "k",
        "hamsa_ws_url": "wss://hamsa.example/ws",
    }
    model: dict[str, Any] = {
        "agent_kind": "openai",
        "agent_model": "m",
        "agent_webhook_url": "https://model.example/v1/chat/completions",
    }
    tokens: tuple[dict[str, Any], ...] = (
        {"agent_token": f"Bearer {SECRET}"},
        {"agent_token": SECRET, "agent_token_header": "X-Api-Key"},
    )
    for settings in (usual, model, *tokens):
        assert start_warnings(GivenSettings(**settings)) == []
