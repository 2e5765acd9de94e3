"""Settings: what is wrong is told by the variable's name, and no credential with it."""

import traceback
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.settings import Settings, load

SECRET = "secret-key-of-the-test"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that sets nothing, and a directory without `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


WRONG: list[tuple[str, str, str]] = [
    ("PORT", "http", "integer"),
    ("PORT", "65536", "less than or equal to 65535"),
    ("PORT", "-1", "greater than or equal to 0"),
    ("LOG_FORMAT", "xml", "'console' or 'json'"),
    ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ("LOG_TRANSCRIPTS", "perhaps", "boolean"),
    ("HAMSA_WS_URL", f"https://{SECRET}.example", "ws:// or wss://"),
    ("HAMSA_WS_URL", SECRET, "ws:// or wss://"),
    ("HAMSA_WS_URL", "wss://", "ws:// or wss://"),
    ("HAMSA_WS_URL", f"wss://hamsa.example/ws?api_key={SECRET}", "its own variable"),
    ("HAMSA_WS_URL", f"wss://me:{SECRET}@hamsa.example/ws", "its own variable"),
    ("HAMSA_REST_URL", f"ftp://{SECRET}.example", "http:// or https://"),
    ("HAMSA_REST_URL", f"https://hamsa.example?api_key={SECRET}", "its own variable"),
    ("HAMSA_REST_URL", f"https://hamsa.example/{SECRET}", "scheme and host only"),
    ("HAMSA_REST_HTTP2", "always", "'auto' or 'prior_knowledge'"),
    ("HAMSA_CONNECT_LIMIT", "0", "greater than or equal to 1"),
    ("HAMSA_CONNECT_WINDOW_S", "0", "greater than 0"),
    ("HAMSA_CONNECT_TIMEOUT_S", "3601", "less than or equal to 3600"),
    ("HAMSA_CONNECT_TIMEOUT_S", "inf", "less than or equal to 3600"),
    ("HAMSA_CONNECT_TIMEOUT_S", "nan", "3600"),
    ("HAMSA_MAX_CONNECTIONS", "1.5", "integer"),
    ("HAMSA_MIN_CONNECTIONS", "9", "HAMSA_MAX_CONNECTIONS"),
    ("HAMSA_LINGER_S", "11", "less than or equal to 10"),
    ("AGENT_WEBHOOK_URL", f"agent.example/{SECRET}", "http:// or https://"),
    ("AGENT_WEBHOOK_URL", f"https://me:{SECRET}@agent.example/", "its own variable"),
    ("AGENT_WEBHOOK_URL", f"https://[{SECRET}", "URL"),
    ("AGENT_WEBHOOK_URL", "http://agent..example/", "host"),
    ("AGENT_WEBHOOK_URL", f"http://{'a' * 64}.example/", "host"),
    ("AGENT_WEBHOOK_URL", "http://xn--/", "host"),
    ("AGENT_WEBHOOK_URL", "http://agent example/", "space"),
    ("AGENT_WEBHOOK_URL", "http://agent.example/\u200f", "invisible"),
    ("HAMSA_API_KEY", f"{SECRET}\r\nX-Other: 1", "line break"),
    ("AGENT_TOKEN", f"Bearer {SECRET}\u200f", "cannot be sent"),
    ("AGENT_KIND", "pigeon", "'webhook' or 'openai'"),
    ("AGENT_HISTORY_TURNS", "-1", "greater than or equal to 0"),
    ("AGENT_HISTORY_SESSIONS", "0", "greater than or equal to 1"),
    ("AGENT_TOKEN_HEADER", "X Token:", "pattern"),
    ("STT_TRANSPORT", "pigeon", "'websocket' or 'rest'"),
    ("TTS_TRANSPORT", "../../rest", "pattern"),
    ("TTS_SPEAKER", "x" * 129, "at most 128"),
    ("TTS_DIALECT", "moon", "'ksa'"),
    ("TTS_SAMPLE_RATE", "44100", "8000 or 16000"),
    ("TTS_ATTEMPTS", "0", "greater than or equal to 1"),
    ("LANGUAGE", "fr", "'ar' or 'en'"),
    ("MAX_UTTERANCE_BYTES", "10", "greater than or equal to 1024"),
    ("SIMULATOR_PROFILE", "slow", "'fast', 'instant' or 'measured'"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_a_wrong_value_is_told_by_its_variable_and_by_what_is_allowed(
    name: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert allowed in message
    assert "\n" not in message
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HAMSA_REST_URL", "https://hamsa.example:port"),
        ("HAMSA_REST_URL", "https://hamsa.example:70000"),
        ("HAMSA_WS_URL", f"wss://{SECRET}@hamsa.example/ws"),
        ("HAMSA_WS_URL", f"wss://hamsa.example/ws?API_KEY={SECRET}"),
    ],
)
def test_an_address_that_cannot_be_used_or_holds_a_credential_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError):
        load()


def test_all_that_is_wrong_is_told_at_once_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("TTS_DIALECT", "x")
    monkeypatch.setenv("HAMSA_WS_URL", "x")
    with pytest.raises(ConfigurationError) as caught:
        load()
    lines = str(caught.value).splitlines()
    assert {line.partition(":")[0] for line in lines} == {"PORT", "TTS_DIALECT", "HAMSA_WS_URL"}
    assert len(lines) == 3


@pytest.mark.parametrize("name", ["HAMSA_API_KEY", "AGENT_TOKEN"])
@pytest.mark.parametrize("wrong", ["“{}”", "{}\nX-Other: 1", "\u200b{}"])
def test_a_credential_that_no_header_can_carry_is_refused_and_not_shown(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, wrong.format(SECRET))
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert str(caught.value).startswith(f"{name}: holds a character that cannot be sent")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("value", ["", " \r\n"])
@pytest.mark.parametrize("name", ["HAMSA_API_KEY", "AGENT_WEBHOOK_URL", "PORT", "TTS_SPEAKER"])
def test_an_empty_value_counts_as_unset(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert load() == Settings(_env_file=None)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGENT_WEBHOOK_URL", "http://agent.example/webhook"),
        ("TTS_SAMPLE_RATE", "8000"),
        ("TTS_DIALECT", "egy"),
        ("HOST", "0.0.0.0"),
    ],
)
def test_the_line_end_of_a_file_is_no_part_of_a_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f" {value}\r\n")
    assert str(getattr(load(), name.lower())) == value


def test_the_file_is_read_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        f"# a comment\nHAMSA_API_KEY={SECRET}\nPORT=9000\nTTS_SPEAKER=سلمى\nUNKNOWN=1\nHOST=\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PORT", "9001")
    settings = load()
    assert settings.hamsa_api_key is not None
    assert settings.hamsa_api_key.get_secret_value() == SECRET
    assert (settings.port, settings.tts_speaker, settings.host) == (9001, "سلمى", "127.0.0.1")


def test_the_file_may_begin_with_the_mark_that_windows_writes(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TTS_SPEAKER=سلمى\n", encoding="utf-8-sig")
    assert load().tts_speaker == "سلمى"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"PORT=9000\nHAMSA_API_KEY %b\n" % SECRET.encode(), ".env: line 2 is not NAME=value"),
        (b'HAMSA_API_KEY="%b\nPORT=9000\n' % SECRET.encode(), ".env: line 1 is not NAME=value"),
        ("TTS_SPEAKER=سلمى".encode("utf-16"), ".env: is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_as_it_was_meant_is_refused(
    content: bytes, complaint: str, tmp_path: Path
) -> None:
    """Its key would seem not to be set, and the simulator would speak."""
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert str(caught.value).startswith(complaint)
    assert SECRET not in str(caught.value)


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").touch()

    def refuse(_self: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read everything
    with pytest.raises(ConfigurationError, match=r"\.env: cannot be read: Permission denied"):
        load()


def test_no_form_of_the_settings_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAMSA_API_KEY", SECRET)
    monkeypatch.setenv("AGENT_TOKEN", f"Bearer {SECRET}")
    settings = load()
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()
    assert SECRET not in repr(settings.model_dump())


def test_without_any_setting_it_is_a_simulator_on_loopback_that_logs_no_speech() -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.simulates_speech
    assert settings.simulates_agent
    assert settings.log_transcripts is False
    assert settings.hamsa_ws_url == "wss://api.tryhamsa.com/v1/realtime/ws"
    assert settings.hamsa_rest_url == "https://api.tryhamsa.com"
    assert (settings.tts_transport, settings.stt_transport) == ("websocket", "websocket")
    assert (settings.tts_speaker, settings.tts_dialect) == ("Majd", "ksa")
    assert settings.tts_sample_rate == 16000
    assert (settings.hamsa_connect_limit, settings.hamsa_connect_window_s) == (3, 20)
    assert settings.hamsa_max_age_s < 3600, "the provider closes at 60 min"


def test_every_default_would_pass_as_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in Settings(_env_file=None).model_dump().items():  # type: ignore[call-arg]
        if value is not None:
            monkeypatch.setenv(name.upper(), str(value))
    assert load() == Settings(_env_file=None)  # type: ignore[call-arg]


def test_a_key_or_a_webhook_takes_the_place_of_the_simulator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAMSA_API_KEY", SECRET)
    assert not load().simulates_speech
    assert load().simulates_agent
    monkeypatch.setenv("AGENT_WEBHOOK_URL", "https://agent.example/webhook/1?a=b")
    assert not load().simulates_agent
    assert load().agent_webhook_url == "https://agent.example/webhook/1?a=b"


def test_the_old_name_of_a_simulator_profile_is_accepted_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SIMULATOR_PROFILE", "seed")
    assert load().simulator_profile == "measured"
    assert caplog.messages == [
        "SIMULATOR_PROFILE=seed is deprecated; use SIMULATOR_PROFILE=measured"
    ]


def test_a_model_needs_an_address_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_KIND", "openai")
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert str(caught.value).splitlines() == [
        "AGENT_WEBHOOK_URL: must be set when AGENT_KIND is openai",
        "AGENT_MODEL: must be set when AGENT_KIND is openai",
    ]
    monkeypatch.setenv("AGENT_WEBHOOK_URL", "https://model.example/v1/chat/completions")
    monkeypatch.setenv("AGENT_MODEL", "m")
    assert load().agent_model == "m"


def test_a_slash_at_the_end_of_the_rest_address_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAMSA_REST_URL", "https://hamsa.example/")
    assert load().hamsa_rest_url == "https://hamsa.example"
