"""Settings: where they come from, and what an operator is told, without any credential."""

import os
import traceback
from pathlib import Path

import pytest

from app.env_file import export_variables
from app.errors import ConfigurationError
from app.settings import Settings, load

SECRET = "secret-key-of-the-test"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that sets nothing, and a directory without `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


WRONG: list[tuple[str, str, str]] = [
    ("PORT", "http", "must be a whole number from 0 to 65535, got 'http'"),
    ("PORT", "65536", "must be a whole number from 0 to 65535, got 65536"),
    ("PORT", "-1", "must be a whole number from 0 to 65535, got -1"),
    ("AGENT_NODE", "Agent, Agent", "must name each node once, got 'Agent' twice"),
    ("AGENT_NODE", "a" * 129, "has at most 128 characters, got 'aaa"),
    ("AGENT_NODE", ",".join(map(str, range(17))), "must be at most 16 nodes, got 17"),
    ("AGENT_ANSWER_PATH", "output", "must be a JSON Pointer such as /output/answer"),
    ("AGENT_ANSWER_PATH", "/a~2", "or /0/text, got '/a~2'"),
    ("AGENT_RETRY_S", "61", "must be a number from 0 to 60, got 61"),
    ("AGENT_HISTORY", "x", "must be true or false, got 'x'"),
    ("LOG_FORMAT", "xml", "must be 'console' or 'json', got 'xml'"),
    ("LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error', got 'loud'"),
    ("LOG_TRANSCRIPTS", "perhaps", "must be true or false, got 'perhaps'"),
    ("HAMSA_WS_URL", f"https://{SECRET}.example", "begin with ws:// or wss://, got 'https://…'"),
    ("HAMSA_WS_URL", SECRET, "must begin with ws:// or wss://"),
    ("HAMSA_WS_URL", "wss://", "must have a host name after ws:// or wss://"),
    ("HAMSA_WS_URL", f"wss://hamsa.example/ws?api_key={SECRET}", "its own variable"),
    ("HAMSA_WS_URL", f"wss://hamsa.example/ws?API_KEY={SECRET}", "its own variable"),
    ("HAMSA_WS_URL", f"wss://me:{SECRET}@hamsa.example/ws", "its own variable"),
    ("HAMSA_WS_URL", f"wss://{SECRET}@hamsa.example/ws", "its own variable"),
    ("HAMSA_REST_URL", f"ftp://{SECRET}.example", "begin with http:// or https://, got 'ftp://…'"),
    ("HAMSA_REST_URL", f"https://hamsa.example?api_key={SECRET}", "its own variable"),
    (
        "HAMSA_REST_URL",
        f"https://hamsa.example/{SECRET}",
        "must be scheme and host only, for example https://hamsa.example",
    ),
    ("HAMSA_REST_URL", "https://hamsa.example:70000", "port must be 0 to 65535, got 70000"),
    ("HAMSA_REST_URL", f"https://hamsa.example:{SECRET}", "port must be 0 to 65535"),
    ("HAMSA_REST_HTTP2", "always", "must be 'auto' or 'prior_knowledge', got 'always'"),
    ("HAMSA_CONNECT_LIMIT", "0", "must be a whole number from 1 to 100, got 0"),
    ("HAMSA_CONNECT_WINDOW_S", "0", "must be a number above 0, at most 3600, got 0"),
    ("HAMSA_CONNECT_TIMEOUT_S", "3601", "must be a number above 0, at most 3600, got 3601"),
    ("HAMSA_CONNECT_TIMEOUT_S", "inf", "must be a number above 0, at most 3600, got 'inf'"),
    ("HAMSA_CONNECT_TIMEOUT_S", "nan", "must be a number above 0, at most 3600, got 'nan'"),
    ("HAMSA_MAX_CONNECTIONS", "1.5", "must be a whole number from 1 to 1000, got '1.5'"),
    ("HAMSA_MIN_CONNECTIONS", "9", "must be at most HAMSA_MAX_CONNECTIONS (8), got 9"),
    ("HAMSA_LINGER_S", "11", "must be a number from 0 to 10, got 11"),
    ("AGENT_WEBHOOK_URL", f"agent.example/{SECRET}", "must begin with http:// or https://"),
    ("AGENT_WEBHOOK_URL", f"https://me:{SECRET}@agent.example/", "its own variable"),
    ("AGENT_WEBHOOK_URL", f"https://[{SECRET}", "must be a URL"),
    ("AGENT_WEBHOOK_URL", "http://agent..example/", "host name is not valid: 'agent..example'"),
    ("AGENT_WEBHOOK_URL", f"http://{'a' * 64}.example/", "host name is not valid: 'aaa"),
    ("AGENT_WEBHOOK_URL", "http://xn--/", "host name is not valid: 'xn--'"),
    ("AGENT_WEBHOOK_URL", "http://agent example/", "without spaces"),
    ("AGENT_WEBHOOK_URL", "http://agent.example/\u200f", "invisible"),
    ("HAMSA_API_KEY", f"{SECRET}\r\nX-Other: 1", "line break"),
    ("AGENT_TOKEN", f"Bearer {SECRET}\u200f", "no HTTP header can carry"),
    ("AGENT_KIND", "a pigeon", "letters A-Z, digits and _ . -, got 'a pigeon'"),
    ("AGENT_HISTORY_TURNS", "-1", "must be a whole number from 0 to 1000, got -1"),
    ("AGENT_HISTORY_SESSIONS", "0", "must be a whole number from 1 to 100000, got 0"),
    ("AGENT_TOKEN_HEADER", f"X-Token: {SECRET}", "letters A-Z, digits and - only"),
    ("ROOT_PATH", "/voice/../x", "must be a path such as /voice, got '/voice/../x'"),
    ("ROOT_PATH", "//evil .test", "must be a path such as /voice"),
    ("ROOT_PATH", "/ws", "must not begin with a path of the gateway's own, got '/ws'"),
    ("DRAIN_S", "-1", "must be a number from 0 to 3600, got -1"),
    ("STT_TRANSPORT", "a pigeon", "letters A-Z, digits and _ . -, got 'a pigeon'"),
    ("TTS_TRANSPORT", "../../rest", "letters A-Z, digits and _ . -, got '../../rest'"),
    ("TTS_SPEAKER", "x" * 129, "must be 1 to 128 characters long, got 'xxx"),
    ("TTS_DIALECT", "moon", "'ksa'"),
    ("TTS_SAMPLE_RATE", "44100", "must be 8000 or 16000, got 44100"),
    ("TTS_FALLBACK", "rest, a pigeon", "letters A-Z, digits and _ . -, got 'a pigeon'"),
    ("STT_FALLBACK", "rest, none", "none stands for no fallback"),
    ("TTS_ATTEMPTS", "0", "must be a whole number from 1 to 20, got 0"),
    ("LANGUAGE", "fr", "must be 'ar' or 'en', got 'fr'"),
    ("MAX_UTTERANCE_BYTES", "10", "must be a whole number from 1024 to 268435456, got 10"),
    ("HTTP_MAX_HEADERS", "3", "must be a whole number from 16 to 10000, got 3"),
    ("TTS_MAX_SENTENCE_CHARS", "5000", "must be a whole number from 200 to 2000, got 5000"),
    ("TTS_MAX_MS_PER_CHAR", "50", "must be a number from 200 to 60000, got 50"),
    ("SIMULATOR_PROFILE", "slow", "must be 'fast', 'instant' or 'measured', got 'slow'"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG)
def test_an_error_names_the_setting_what_is_allowed_and_what_was_read(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert reason in message
    assert "\n" not in message
    assert len(message) < 200
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_node_is_either_spoken_or_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_NODE", "Agent, Card")
    monkeypatch.setenv("AGENT_DATA_NODES", "Card")
    with pytest.raises(ConfigurationError, match="AGENT_DATA_NODES: must not name a node of"):
        load()


@pytest.mark.parametrize(
    ("value", "path"), [("/", ""), ("voice/", "/voice"), ("/a.b/c~d", "/a.b/c~d")]
)
def test_the_root_path_has_a_slash_before_it_and_none_behind(
    value: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT_PATH", value)
    assert load().root_path == path


def test_all_errors_are_reported_at_once_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("TTS_DIALECT", "x")
    monkeypatch.setenv("HAMSA_WS_URL", "x")
    with pytest.raises(ConfigurationError) as caught:
        load()
    lines = str(caught.value).splitlines()
    assert {line.partition(":")[0] for line in lines} == {"PORT", "TTS_DIALECT", "HAMSA_WS_URL"}
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("LOG_LEVEL", "WARNING", "warning"),
        ("LOG_FORMAT", "Json", "json"),
        ("TTS_TRANSPORT", "REST", "rest"),
        ("TTS_FALLBACK", "None", ()),
        ("TTS_FALLBACK", "REST, MyPlugIn", ("rest", "MyPlugIn")),
        ("AGENT_KIND", "Webhook", "webhook"),
        ("AGENT_NODE", " Filler , Agent 2", ("Filler", "Agent 2")),
        ("AGENT_ANSWER_PATH", "/Out~1put/0", "/Out~1put/0"),
        ("TTS_DIALECT", "AR-SA", "ar-sa"),
        ("TTS_SPEAKER", "MAJD", "MAJD"),
        ("TTS_TRANSPORT", "MyPlugIn", "MyPlugIn"),
    ],
)
def test_choices_may_be_written_in_any_case_and_names_have_one(
    name: str, value: str, read: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(load(), name.lower()) == read


def test_a_rejected_choice_is_shown_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "Pigeon")
    with pytest.raises(ConfigurationError, match="must be 'console' or 'json', got 'Pigeon'"):
        load()


@pytest.mark.parametrize("name", ["HAMSA_API_KEY", "AGENT_TOKEN"])
@pytest.mark.parametrize("wrong", ["“{}”", "{}\nX-Other: 1", "\u200b{}"])
def test_a_credential_that_no_header_can_carry_is_rejected_and_not_shown(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, wrong.format(SECRET))
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert str(caught.value).startswith(f"{name}: holds a character that no HTTP header can carry")
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
def test_the_line_end_of_a_file_is_not_part_of_a_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f" {value}\r\n")
    assert str(getattr(load(), name.lower())) == value


def test_the_environment_takes_precedence_over_the_file(
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


def test_variables_of_a_library_may_stand_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("OTEL_A=of-file\nOTEL_B=of-file\nOTEL_C=\nPORT=9000\n")
    monkeypatch.setenv("OTEL_A", "of-environment")
    monkeypatch.setattr(os, "environ", dict(os.environ))  # what is added goes again
    export_variables(tmp_path / ".env", "OTEL_")
    added = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    assert added == {"OTEL_A": "of-environment", "OTEL_B": "of-file"}
    assert os.environ.get("PORT") != "9000"


def test_the_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TTS_SPEAKER=سلمى\n", encoding="utf-8-sig")
    assert load().tts_speaker == "سلمى"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PORT=9000\nHAMSA_API_KEY %b\n" % SECRET.encode(), ".env: line 2 must be NAME=value"),
        (b'HAMSA_API_KEY="%b\nPORT=9000\n' % SECRET.encode(), ".env: line 1 must be NAME=value"),
        ("TTS_SPEAKER=سلمى".encode("utf-16"), ".env: must be UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_as_intended_is_rejected(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    """Otherwise its key would seem not to be set, and the simulator would start."""
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert str(caught.value).startswith(reason)
    assert SECRET not in str(caught.value)


def test_a_file_that_must_not_be_read_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").touch()

    def refuse(_self: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read everything
    with pytest.raises(ConfigurationError, match=r"\.env: cannot be read: Permission denied"):
        load()


def test_no_representation_of_the_settings_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAMSA_API_KEY", SECRET)
    monkeypatch.setenv("AGENT_TOKEN", f"Bearer {SECRET}")
    settings = load()
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()
    assert SECRET not in repr(settings.model_dump())


def test_the_defaults_are_a_simulator_on_loopback_and_no_transcripts_in_the_log() -> None:
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


def test_every_default_is_a_valid_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in Settings(_env_file=None).model_dump().items():  # type: ignore[call-arg]
        if value is not None:
            listed = ",".join(value) if isinstance(value, tuple) else value
            monkeypatch.setenv(name.upper(), str(listed))
    assert load() == Settings(_env_file=None)  # type: ignore[call-arg]


def test_a_key_or_a_webhook_replaces_the_simulator(
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


def test_a_slash_at_the_end_of_the_rest_url_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAMSA_REST_URL", "https://hamsa.example/")
    assert load().hamsa_rest_url == "https://hamsa.example"
